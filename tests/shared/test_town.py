"""A town is data: its versions are stable, what it does not know is refused by name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.contracts.base import Code, ProfileVersion, TownId
from shared.errors import Refused
from shared.profile import Profile
from shared.town import load_towns
from tests.build import DRAINS, GRID, NOW, a_town, kind, profile

TOWNS = Path(__file__).parents[2] / "deploy" / "towns"
SECOND = profile(n=2, effective=NOW)


def write_town(folder: Path, *profiles: Profile, units: str = "units: []") -> Path:
    place = folder / profiles[0].town
    place.mkdir(exist_ok=True)
    for each in profiles:
        said = yaml.safe_dump(each.model_dump(mode="json"), allow_unicode=True)
        (place / f"profile-{each.n}.yaml").write_text(said, encoding="utf-8")
    (place / "units.yaml").write_text(units, encoding="utf-8")
    return place


def test_the_digest_of_a_profile_is_stable() -> None:
    assert profile().digest == profile().digest == "ee7ec643"
    assert profile().version == "1.ee7ec643"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "东街社区"},
        {"effective": NOW},
        {"time_zone": "Asia/Urumqi"},
        {"outcomes": {"resolved": "已解决"}},
        {"kinds": {"appeal": {**kind(rated=True), "resolve_within_hours": 121}}},
        {"occurred_back_hours": {"default": 71}},
        {"invented": ["everything"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_changes_with_whatever_the_profile_says(change: dict[str, Any]) -> None:
    assert profile(**change).digest != profile().digest


def test_the_order_in_which_a_profile_lists_its_kinds_is_no_change() -> None:
    kinds = profile().model_dump()["kinds"]
    assert profile(kinds=dict(reversed(kinds.items()))).digest == profile().digest


@pytest.mark.parametrize(
    ("check", "code", "field"),
    [
        (lambda p: p.check_area("t3/east"), "unknown-area", "area"),
        (lambda p: p.kind("dispute"), "unknown-kind", "kind"),
        (lambda p: p.check_code("channel", "fax", p.channels), "unknown-channel", "channel"),
        (lambda p: p.check_code("outcome", "gone", p.outcomes), "unknown-outcome", "outcome"),
        (
            lambda p: p.check_code("category", "noise", p.kind("appeal").categories),
            "unknown-category",
            "category",
        ),
    ],
    ids=["area", "kind", "channel", "outcome", "category"],
)
def test_what_a_town_does_not_know_is_refused_by_name(
    check: Callable[[Profile], object], code: str, field: str
) -> None:
    with pytest.raises(Refused) as refusal:
        check(profile())
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_a_unit_the_town_does_not_have_is_refused() -> None:
    a_town().check_unit(DRAINS)
    with pytest.raises(Refused) as refusal:
        a_town().check_unit("fire-brigade")
    assert (refusal.value.code, refusal.value.field) == ("unknown-unit", "unit")


def test_what_a_town_knows_passes() -> None:
    profile().check_area(GRID)
    profile().check_code("channel", "visit", profile().channels)
    assert profile().kind("appeal").rating_asked


@pytest.mark.parametrize(
    ("role", "back", "code"),
    [
        ("resident", timedelta(hours=720), None),
        ("resident", timedelta(hours=720, milliseconds=1), "occurred-too-far-back"),
        ("officer", timedelta(hours=72), None),
        ("officer", timedelta(hours=73), "occurred-too-far-back"),
        ("officer", timedelta(0), None),
        ("officer", timedelta(milliseconds=-1), "occurred-ahead"),
    ],
)
def test_each_role_may_claim_so_far_back_and_never_ahead(
    role: str, back: timedelta, code: str | None
) -> None:
    if code is None:
        profile().check_occurred(role, NOW - back, NOW)
        return
    with pytest.raises(Refused) as refusal:
        profile().check_occurred(role, NOW - back, NOW)
    assert (refusal.value.code, refusal.value.field) == (code, "occurred")


def test_who_claims_no_time_claims_now() -> None:
    profile().check_occurred("officer", None, NOW)


def area(name: str, level: str = "grid") -> dict[str, str]:
    return {"id": name, "level": level, "name": name}


@pytest.mark.parametrize(
    ("areas", "wrong"),
    [
        ([area("t3"), area("t3/west/g4")], "hangs on nothing"),
        ([area("t3"), area("t9")], "hangs on nothing"),
        ([area("t3"), area("t3")], "listed twice"),
        ([area("t3", level="ward")], "level ward is not listed"),
        ([area("t3"), area("t3/West")], "pattern"),
    ],
)
def test_areas_form_one_tree_below_the_town(areas: list[dict[str, str]], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        profile(areas=areas)


def test_the_profile_in_force_is_the_latest_that_took_effect() -> None:
    town = a_town(profile(), SECOND)
    assert town.profile_at(NOW - timedelta(milliseconds=1)).n == 1
    assert town.profile_at(NOW).n == 2
    assert town.profile_at(NOW + timedelta(days=9)).n == 2


def test_before_the_first_profile_nothing_can_be_decided() -> None:
    with pytest.raises(Refused) as refusal:
        a_town().profile_at(datetime(2024, 12, 31, tzinfo=UTC))
    assert refusal.value.code == "no-profile-yet"


def test_towns_are_loaded_with_all_their_versions(tmp_path: Path) -> None:
    write_town(tmp_path, profile(), SECOND, units="units: [{id: drains, name: 排水}]")
    (tmp_path / "not-a-town").mkdir()
    towns = load_towns(tmp_path)
    town = towns[TownId("t3")]
    assert [p.n for p in town.profiles] == [1, 2]
    assert town.units[DRAINS].name == "排水"
    assert towns.versions() == {"t3@1": profile().digest, "t3@2": SECOND.digest}
    assert towns.lack(TownId("t3"), SECOND.version) is None
    for town_id, version in (("t3", ProfileVersion("2.00000000")), ("t9", SECOND.version)):
        lack = towns.lack(TownId(town_id), version)
        assert lack == f"profile {version} of {town_id} is not known here"


def test_the_towns_that_are_delivered_load() -> None:
    towns = load_towns(TOWNS)
    assert {"t3"} <= towns.keys()
    for town in towns.values():
        assert town.units
        assert town.profile_at(NOW).kinds


@pytest.mark.parametrize(
    ("content", "wrong"),
    [("town: [", "expected"), ("town: t3", "Field required"), ("nonsense: 1", "Extra inputs")],
)
def test_a_profile_that_does_not_read_is_named(tmp_path: Path, content: str, wrong: str) -> None:
    place = write_town(tmp_path, profile())
    (place / "profile-2.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"t3/profile-2\.yaml") as error:
        load_towns(tmp_path)
    assert wrong in str(error.value)


def test_missing_or_broken_units_are_named(tmp_path: Path) -> None:
    place = write_town(tmp_path, profile(), units="units: [{id: Drains}]")
    with pytest.raises(ValueError, match=r"t3/units\.yaml"):
        load_towns(tmp_path)
    (place / "units.yaml").unlink()
    with pytest.raises(ValueError, match=r"t3/units\.yaml"):
        load_towns(tmp_path)


@pytest.mark.parametrize(
    ("second", "wrong"),
    [
        (profile(n=2), "must take effect after 1"),
        (
            profile(n=2, effective=NOW, town="t9", areas=[area("t9")]),
            "two towns",
        ),
    ],
    ids=["no-later", "another-town"],
)
def test_the_profiles_of_a_town_follow_each_other(
    tmp_path: Path, second: Profile, wrong: str
) -> None:
    place = write_town(tmp_path, profile())
    said = yaml.safe_dump(second.model_dump(mode="json"))
    (place / "profile-2.yaml").write_text(said, encoding="utf-8")
    with pytest.raises(ValueError, match=wrong):
        load_towns(tmp_path)


def test_a_folder_without_towns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no town"):
        load_towns(tmp_path)


def test_a_town_or_a_unit_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    place = write_town(tmp_path, profile(), units="units: [{id: a, name: A}, {id: a, name: B}]")
    with pytest.raises(ValueError, match="unit a is listed twice"):
        load_towns(tmp_path)
    (place / "units.yaml").write_text("units: []")
    place.rename(tmp_path / "one")
    write_town(tmp_path, profile())
    with pytest.raises(ValueError, match="in another folder too"):
        load_towns(tmp_path)


def test_what_a_later_build_adds_to_profiles_changes_no_digest() -> None:
    class Later(Profile):
        twinned_with: str | None = None

    said = profile().model_dump(mode="json")
    assert Later.model_validate(said).version == profile().version


def test_a_kind_with_open_cases_may_not_be_dropped_from_the_next_profile(tmp_path: Path) -> None:
    second = profile(n=2, effective=NOW, kinds={"appeal": profile().kinds[Code("appeal")]})
    folder = write_town(tmp_path, profile(), second).parent
    with pytest.raises(ValueError, match="profile 2 drops kind hazard"):
        load_towns(folder)


def test_what_a_town_calls_things_is_what_it_takes() -> None:
    """The examples in the OpenAPI documents are not refused by the town they are shown for."""
    towns = load_towns(Path(__file__).parents[2] / "deploy" / "towns")
    said = towns.examples()
    town = next(iter(towns.values()))
    latest = town.profiles[-1]
    latest.check_area(said["area"])
    latest.check_code("category", said["category"], latest.kind(said["kind"]).categories)
    latest.check_code("channel", said["channel"], latest.channels)
    latest.check_code("outcome", said["outcome"], latest.outcomes)
    latest.check_code("rule", said["rule"], latest.decline_rules)
    town.check_unit(said["unit"])
