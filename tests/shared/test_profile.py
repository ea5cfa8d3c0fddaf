"""What a profile may say, and that what later profiles say changes no earlier one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.errors import Refused
from shared.profile import Profile
from tests.build import APPEAL, HAZARD, NOW, kind, profile

FIRST = Path(__file__).parent / "golden" / "profile-1.yaml"
"""A profile as it was said before there was anything to decline, refer or verify."""
LATER: dict[str, Any] = {
    "decline_rules": {"in-court": "已进入司法程序"},
    "owners": {"police": "公安机关"},
    "fast_within_hours": 48,
    "import_back_days": 365,
}
NOTHING: dict[str, Any] = {
    "decline_rules": {},
    "owners": {},
    "fast_within_hours": None,
    "import_back_days": 3650,
}


def said_first() -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load(FIRST.read_text(encoding="utf-8"))
    return said


def test_the_first_form_of_a_profile_keeps_its_version_for_ever() -> None:
    """Facts carry it, and a database refuses another digest under the same number."""
    first = Profile.model_validate(said_first())
    assert first.version == "1.9d5a2f16"
    assert not any(kind.verification_asked for kind in first.kinds.values())
    assert (first.decline_rules, first.owners, first.fast_within_hours) == ({}, {}, None)


def test_saying_that_there_is_nothing_of_what_came_later_is_no_change() -> None:
    said = said_first()
    for each in said["kinds"].values():
        each["verification_asked"] = False
    assert Profile.model_validate({**said, **NOTHING}).version == "1.9d5a2f16"


@pytest.mark.parametrize("name", LATER)
def test_whatever_came_later_changes_the_digest_once_it_is_said(name: str) -> None:
    assert profile(**{name: LATER[name]}).digest != profile().digest


def test_asking_for_a_verification_changes_the_digest() -> None:
    checked = {**kind(rated=False), "verification_asked": True}
    kinds = {APPEAL: kind(rated=True), HAZARD: checked}
    assert profile(kinds=kinds).digest != profile().digest
    assert profile(kinds=kinds).kind(HAZARD).verification_asked


@pytest.mark.parametrize("zone", ["Asia/Jingchuan", "", "../etc/passwd", "/etc/localtime", "北京"])
def test_a_time_zone_that_there_is_not_is_refused_by_name(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone is called"):
        profile(time_zone=zone)


def test_days_are_those_of_the_towns_zone() -> None:
    assert NOW.astimezone(profile(time_zone="Asia/Shanghai").zone).hour == 16
    assert profile(time_zone="UTC").zone.utcoffset(NOW) == timedelta(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fast_within_hours": 0},
        {"fast_within_hours": -1},
        {"import_back_days": -1},
        {"decline_rules": {"In Court": "x"}},
        {"owners": {"": "x"}},
        {"occurred_back_hours": {"default": -1}},
        {"kinds": {APPEAL: {**kind(rated=True), "resolve_within_hours": 0}}},
        {"kinds": {APPEAL: {**kind(rated=True), "verified": True}}},
        {"twinned_with": "t9"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_a_profile_cannot_mean_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        profile(**wrong)


def test_a_code_is_refused_by_what_it_is_and_by_the_field_that_held_it() -> None:
    known = profile(**LATER)
    known.check_code("owner", "police", known.owners, field="to")
    with pytest.raises(Refused) as refusal:
        known.check_code("owner", "army", known.owners, field="to")
    assert (refusal.value.code, refusal.value.field) == ("unknown-owner", "to")
    with pytest.raises(Refused) as refusal:
        known.check_code("rule", "too-hot", known.decline_rules)
    assert (refusal.value.code, refusal.value.field) == ("unknown-rule", "rule")


def test_what_is_claimed_is_checked_under_the_name_it_was_sent_by() -> None:
    with pytest.raises(Refused) as refusal:
        profile().check_occurred("system", NOW + timedelta(seconds=1), NOW, field="time")
    assert (refusal.value.code, refusal.value.field) == ("occurred-ahead", "time")


def test_a_list_reaches_as_far_back_as_the_profile_says_and_no_role_that_far() -> None:
    known, day = profile(import_back_days=400), timedelta(days=1)
    known.check_imported(NOW - 400 * day, NOW)
    for at, code in ((NOW - 401 * day, "too-far-back"), (NOW + day, "ahead")):
        with pytest.raises(Refused) as refusal:
            known.check_imported(at, NOW, "settled.occurred")
        assert refusal.value.code == f"occurred-{code}"
        assert refusal.value.field == "settled.occurred"
    with pytest.raises(Refused, match="at most 72 hours back"):
        known.check_occurred("community", NOW - 400 * day, NOW)
