"""Partners are data of a town: what they may say, for whom, and that no two say it as one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.contracts.base import AreaId, PartnerId, TownId
from shared.profile import Partner, Profile
from shared.town import Towns, load_towns
from tests.build import GRID, NOW, kind, profile

UNITS = "units: [{id: drains, name: 排水}, {id: lights, name: 路灯}]"
KEY: dict[str, Any] = {
    "id": "ping-an-key",
    "name": "平安键",
    "sources": ["/ping-an-key/officers", "/ping-an-key/residents"],
    "verbs": ["wish-submitted", "hazard-raised", "unit-reported", "progress-reported"],
    "areas": ["t3/west"],
    "units": ["drains"],
    "channel": "online",
    "hazard_kind": "hazard",
}


def town_folder(
    folder: Path, *partners: dict[str, Any], profiles: tuple[Profile, ...] = ()
) -> Path:
    """A folder of one town with these partners."""
    first, *_ = known = profiles or (profile(),)
    place = folder / first.town
    place.mkdir(exist_ok=True)
    for each in known:
        said = yaml.safe_dump(each.model_dump(mode="json"), allow_unicode=True)
        (place / f"profile-{each.n}.yaml").write_text(said, encoding="utf-8")
    (place / "units.yaml").write_text(UNITS, encoding="utf-8")
    said = yaml.safe_dump({"partners": list(partners)}, allow_unicode=True)
    (place / "partners.yaml").write_text(said, encoding="utf-8")
    return folder


def elsewhere() -> Profile:
    """The profile of another town."""
    return profile(town="t9", areas=[{"id": "t9", "level": "county", "name": "他县"}])


def partner(**changes: Any) -> Partner:
    return Partner.model_validate({**KEY, **changes})


def test_a_partner_is_known_by_the_towns_that_let_it_speak(tmp_path: Path) -> None:
    town_folder(tmp_path, KEY, {**KEY, "id": "hotline", "sources": ["/hotline"]})
    there = {**KEY, "areas": ["t9"], "verbs": ["unit-reported"]}
    towns = load_towns(town_folder(tmp_path, there, profiles=(elsewhere(),)))
    partners = towns.partners()
    assert partners.keys() == {"ping-an-key", "hotline"}
    assert partners[PartnerId("ping-an-key")].keys() == {"t3", "t9"}
    assert partners[PartnerId("hotline")].keys() == {"t3"}
    grants = partners[PartnerId("ping-an-key")]
    assert grants[TownId("t3")] == partner()
    assert grants[TownId("t9")].verbs == ("unit-reported",)


def test_a_town_need_have_no_partners(tmp_path: Path) -> None:
    (town_folder(tmp_path) / "t3" / "partners.yaml").unlink()
    assert load_towns(tmp_path).partners() == {}
    assert Towns().partners() == {}


def test_a_partner_speaks_about_its_areas_and_what_is_below_them() -> None:
    speaks = partner(areas=["t3/west"]).answers_for
    assert speaks("t3/west")
    assert speaks(GRID)
    assert not any(map(speaks, ("t3", "t3/westend", "t3/east/g4", "t9/west", "")))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"areas": ["t3/east"]}, "names t3/east"),
        ({"areas": ["t9"]}, "names t9"),
        ({"units": ["drains", "fire-brigade"]}, "names fire-brigade"),
        ({"channel": "fax"}, "names fax"),
        ({"hazard_kind": "dispute"}, "names dispute"),
        (
            {"areas": ["t3/east"], "units": ["army"], "channel": "fax", "hazard_kind": "war"},
            "names t3/east, army, fax, war",
        ),
        ({"hazard_kind": None}, "name their hazard_kind"),
        ({"verbs": ["wish-granted"]}, "verbs"),
        ({"verbs": []}, "verbs"),
        ({"sources": []}, "sources"),
        ({"sources": ["has a space"]}, "sources"),
        ({"sources": ["/水"]}, "sources"),
        ({"areas": []}, "areas"),
        ({"id": "Ping An"}, "id"),
        ({"id": "a.b"}, "id"),
        ({"secret": "x"}, "secret"),
    ],
    ids=str,
)
def test_what_a_partner_cannot_be_is_named_with_its_file(
    tmp_path: Path, change: dict[str, Any], wrong: str
) -> None:
    folder = town_folder(tmp_path, {**KEY, **change})
    with pytest.raises(ValueError, match=r"t3/partners\.yaml") as error:
        load_towns(folder)
    assert wrong in str(error.value)


def test_who_raises_no_hazards_needs_no_kind_for_them() -> None:
    assert partner(verbs=["unit-reported"], hazard_kind=None).hazard_kind is None


def test_a_partner_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    again = {**KEY, "sources": ["/others"]}
    with pytest.raises(ValueError, match=r"t3/partners\.yaml: partner ping-an-key is listed twice"):
        load_towns(town_folder(tmp_path, KEY, again))


def test_a_source_is_of_one_partner_in_a_town_and_in_all_towns(tmp_path: Path) -> None:
    """A story is found by town, source and reference."""
    other = {**KEY, "id": "hotline", "sources": ["/hotline", "/ping-an-key/officers"]}
    with pytest.raises(ValueError, match="/ping-an-key/officers is of partner"):
        load_towns(town_folder(tmp_path, KEY, other))
    town_folder(tmp_path, KEY)
    with pytest.raises(ValueError, match="/ping-an-key/officers is of partner"):
        load_towns(town_folder(tmp_path, {**other, "areas": ["t9"]}, profiles=(elsewhere(),)))


def test_what_a_partner_names_is_looked_up_in_the_latest_profile(tmp_path: Path) -> None:
    kinds = {**profile().model_dump()["kinds"], "event": kind(rated=False)}
    second = profile(n=2, effective=NOW, kinds=kinds, channels={"platform": "平台"})
    newer = {**KEY, "channel": "platform", "hazard_kind": "event"}
    folder = town_folder(tmp_path, newer, profiles=(profile(), second))
    assert load_towns(folder)[TownId("t3")].partners[PartnerId("ping-an-key")].channel == "platform"
    with pytest.raises(ValueError, match="names online"):
        load_towns(town_folder(tmp_path, KEY, profiles=(profile(), second)))


@pytest.mark.parametrize("content", ["partners: {", "partners: 7", "[]", "", "partner: []"])
def test_a_file_of_partners_that_does_not_read_is_named(tmp_path: Path, content: str) -> None:
    folder = town_folder(tmp_path)
    (folder / "t3" / "partners.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"t3/partners\.yaml"):
        load_towns(folder)


def test_the_partners_that_are_delivered_speak_for_areas_of_their_town() -> None:
    towns = load_towns(Path(__file__).parents[2] / "deploy" / "towns")
    for grants in towns.partners().values():
        for town, grant in grants.items():
            assert all(area.partition("/")[0] == town for area in grant.areas)
            assert grant.answers_for(AreaId(grant.areas[0]))
