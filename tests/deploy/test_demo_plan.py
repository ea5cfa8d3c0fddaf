"""What the demo plays is thought up from a scenario and a seed alone: totals hold, cases vary."""

import re
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from deploy.demo.check import read_published
from deploy.demo.plan import INVENTED, Plan, Step, plan
from deploy.demo.run import HERE
from deploy.demo.scenario import Scenario, read_scenario
from deploy.local.installation import ROOT
from tests.conftest import TOWNS

SCENARIO = read_scenario(HERE / "t3.yaml")
PUBLISHED = read_published(HERE / "t3.published.yaml")
PLANNED = plan(SCENARIO, SCENARIO.seed)
OTHER = plan(SCENARIO, SCENARIO.seed + 1)
TOWN = TOWNS[SCENARIO.town]  # type: ignore[index]  # the scenario's id is a plain string
PROFILE = TOWN.profiles[0]
HANDED_IN = ("submit", "settle")
TEXTS = ("words", "note", "reason", "title")


def handed_in(planned: Plan) -> Counter[tuple[str, str]]:
    """How many matters of the place and the months, by kind and category."""
    steps = (story[0] for story in planned.stories.values() if not beside(story[0]))
    return Counter((step.body["kind"], step.body["category"]) for step in steps)


def beside(step: Step) -> bool:
    """Whether it is of a matter that the report leaves out."""
    return step.at < SCENARIO.starts or not step.body["area"].startswith(PUBLISHED.area)


def texts(body: Any) -> list[str]:
    """Every text that somebody would have written."""
    if not isinstance(body, dict):
        return []
    own = [said for name, said in body.items() if name in TEXTS]
    return own + [said for inner in body.values() for said in texts(inner)]


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(SCENARIO, SCENARIO.seed) == PLANNED


def test_another_seed_gives_other_cases_and_the_same_totals() -> None:
    assert OTHER.steps != PLANNED.steps
    assert handed_in(OTHER) == handed_in(PLANNED)
    assert Counter(s.verb for s in OTHER.steps) == Counter(s.verb for s in PLANNED.steps)


def test_one_matter_keeps_its_course_when_others_are_added() -> None:
    more = dict(SCENARIO.groups[0].count) | {"people": 7}
    group = SCENARIO.groups[0].model_copy(update={"count": more})
    changed = SCENARIO.model_copy(update={"groups": (group, *SCENARIO.groups[1:])})
    after = plan(changed, SCENARIO.seed).stories
    assert len(after) == len(PLANNED.stories) + 1
    assert after["t3-02-001"] == PLANNED.stories["t3-02-001"]


@pytest.mark.parametrize("planned", [PLANNED, OTHER])
def test_as_many_are_handed_in_as_were_published(planned: Plan) -> None:
    received = Counter(kind for kind, _ in handed_in(planned).elements())
    for each in PUBLISHED.figures:
        if each.numbers == ("received",):
            assert received[each.kind] == each.figure, each.name
        if each.categories:
            assert {c for k, c in handed_in(planned) if k == each.kind} == set(each.categories)
    assert set(received) == {each.kind for each in PUBLISHED.figures}


def test_no_seed_lets_an_appeal_that_is_to_be_fast_be_late() -> None:
    assert PROFILE.fast_within_hours is not None
    in_time = timedelta(hours=PROFILE.fast_within_hours)
    for seed in range(100):
        for story in plan(SCENARIO, seed).stories.values():
            if story[0].body["kind"] == "appeal":
                done = [step.at for step in story if step.verb == "resolve"]
                assert all(at - story[0].at < in_time for at in done), (seed, story[0].ref)


@pytest.mark.parametrize("planned", [PLANNED, OTHER])
def test_every_text_says_that_it_is_invented_and_nobody_is_real(planned: Plan) -> None:
    said = [text for step in planned.steps for text in texts(step.body)]
    assert said
    assert all(text.startswith(INVENTED) for text in said)
    assert "{" not in "".join(said)
    named = [step.body for step in planned.steps if "name" in step.body]
    assert named
    for body in named:
        assert body["name"].removeprefix("住户") in SCENARIO.people
        assert re.fullmatch(r"1380000\d{4}", body["phone"])


@pytest.mark.parametrize("planned", [PLANNED, OTHER])
def test_no_step_comes_before_the_one_it_builds_on(planned: Plan) -> None:
    assert [s.at for s in planned.steps] == sorted(s.at for s in planned.steps)
    for story in planned.stories.values():
        assert [step.n for step in story] == list(range(len(story)))
        assert all(before.at < after.at for before, after in pairwise(story))
        assert story[0].verb in HANDED_IN
        occurred = story[0].body.get("occurred")
        assert occurred is None or datetime.fromisoformat(occurred) < story[0].at


@pytest.mark.parametrize("planned", [PLANNED, OTHER])
def test_five_months_are_spanned_in_hours_when_people_are_at_work(planned: Plan) -> None:
    steps = [step for step in planned.steps if step.at >= SCENARIO.starts]
    assert SCENARIO.starts <= steps[0].at < SCENARIO.starts + timedelta(days=4)
    assert SCENARIO.ends - timedelta(days=7) < steps[-1].at <= SCENARIO.ends
    months = {step.at.astimezone(SCENARIO.zone).month for step in steps}
    assert months == {3, 4, 5, 6, 7}
    opens, closes = SCENARIO.at_work
    assert all(opens <= step.at.astimezone(SCENARIO.zone).hour < closes for step in steps)


@pytest.mark.parametrize("planned", [PLANNED, OTHER])
def test_one_matter_of_another_place_and_one_of_the_day_before_are_played_too(
    planned: Plan,
) -> None:
    early, elsewhere = [story[0] for story in planned.stories.values() if beside(story[0])]
    day = early.at.astimezone(SCENARIO.zone).date()
    assert day == SCENARIO.starts.date() - timedelta(days=1)
    assert SCENARIO.begins < early.at
    assert early.body["area"] in SCENARIO.areas
    assert (elsewhere.body["area"], elsewhere.scope) == ("t3", "t3")
    assert SCENARIO.starts < elsewhere.at < SCENARIO.ends


def test_part_of_it_goes_over_kafka_where_the_partner_may_say_it() -> None:
    by_kafka = [step for step in PLANNED.steps if step.via == "kafka"]
    assert {step.verb for step in by_kafka} == {"submit", "report", "progress"}
    (grant,) = (p for p in TOWN.partners.values() if p.id == SCENARIO.partner.id)
    assert SCENARIO.partner.source in grant.sources
    assert {s.scope for s in by_kafka if s.verb != "submit"} <= {str(u) for u in grant.units}


def test_the_scenario_speaks_of_what_the_town_has() -> None:
    assert set(SCENARIO.areas) <= PROFILE.area_ids
    for group in SCENARIO.groups:
        assert set(group.count) <= set(PROFILE.kind(group.kind).categories), group.name
        assert group.channel in PROFILE.channels, group.name
    for kind in SCENARIO.texts.values():
        for said in kind.values():
            TOWN.check_unit(said.unit)


def test_a_plan_without_a_step_lacks_what_needs_it_and_nothing_else() -> None:
    story = max(PLANNED.stories.values(), key=len)
    left = PLANNED.without(story[3])
    assert left.stories[story[0].ref] == story[:3]
    assert len(left.steps) == len(PLANNED.steps) - len(story) + 3
    assert story[0].ref not in PLANNED.without(story[0]).stories


def test_a_group_that_would_not_be_over_in_time_is_named() -> None:
    late = SCENARIO.groups[0].model_copy(update={"submitted": (149.0, 150.0)})
    with pytest.raises(ValueError, match=r"patrolled: t3-01-\d+ would not be over in 150 days"):
        plan(SCENARIO.model_copy(update={"groups": (late,)}), 1)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"course": ["accept"]}, "begins with submit or settle"),
        ({"pace": "quick", "course": ["submit", "doubt"]}, "pace quick lacks doubt"),
        ({"course": ["submit", "rate"], "pace": "patient"}, "only who has an account can rate"),
        ({"count": {"weather": 1}}, "no texts for weather"),
    ],
)
def test_a_scenario_that_cannot_be_played_is_not_read(change: dict[str, Any], wrong: str) -> None:
    said = SCENARIO.model_dump()
    said["groups"] = [{**SCENARIO.groups[0].model_dump(), **change}]
    with pytest.raises(ValueError, match=wrong):
        Scenario.model_validate(said)


@pytest.mark.parametrize("package", ["services", "shared"])
def test_nothing_that_serves_knows_of_the_scenario_or_of_what_was_published(package: str) -> None:
    large = {str(each.figure) for each in PUBLISHED.figures if each.figure >= 100}
    names = re.compile(rf"deploy.demo|t3\.yaml|published\.yaml|\b({'|'.join(large)})\b")
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert large == {"103"}
    for file in files:
        assert not names.search(file.read_text(encoding="utf-8")), file
