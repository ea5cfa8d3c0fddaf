"""What people want in a run is pure, and everything that may happen to a matter does."""

from collections import Counter

from shared.contracts.base import AreaId, Code, UnitId
from tests.chaos import reported, ways
from tests.chaos.plan import PARTNER_PATHS, PATHS, matter
from tests.conftest import TOWN, TOWNS


def test_the_same_seed_person_and_number_is_the_same_matter() -> None:
    assert matter(7, "r1", 3) == matter(7, "r1", 3)
    others = [matter(7, "r1", 4), matter(7, "r2", 3), matter(8, "r1", 3)]
    assert matter(7, "r1", 3) not in others


def test_every_way_is_gone_before_long_and_can_be_gone() -> None:
    assert PATHS.keys() == ways.WAYS.keys()
    assert PARTNER_PATHS.keys() == reported.WAYS.keys()
    gone = Counter(matter(1, "r0", n).path for n in range(300))
    assert gone.keys() == PATHS.keys()
    reports = Counter(matter(1, "p0", n, PARTNER_PATHS).path for n in range(100))
    assert reports.keys() == PARTNER_PATHS.keys()


def test_the_town_knows_all_that_is_asked_and_sends_two_units() -> None:
    profile = TOWNS[TOWN].profiles[-1]
    for n in range(300):
        asked = matter(1, "r0", n, {**PATHS, **PARTNER_PATHS})
        assert asked.category in profile.kind(Code(asked.kind)).categories
        profile.check_area(AreaId(asked.area))
        assert len(set(asked.units)) == 2
        for unit in asked.units:
            TOWNS[TOWN].check_unit(UnitId(unit))


def test_a_rating_is_asked_just_where_somebody_rates() -> None:
    profile = TOWNS[TOWN].profiles[-1]
    checked = {"verified", "reworked", "raised"}
    for n in range(300):
        asked = matter(1, "r0", n, {**PATHS, **PARTNER_PATHS})
        kind = profile.kind(Code(asked.kind))
        if asked.path in checked:
            assert kind.verification_asked
        elif asked.path in ("unasked", "on_the_spot", "reported"):
            assert not kind.rating_asked
        else:
            assert kind.rating_asked
