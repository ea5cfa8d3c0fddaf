"""Every command wherever a case can stand: decided, already so, or refused under which code."""

from dataclasses import fields
from typing import Final, get_args

import pytest

from services.dispatch.case import CASE
from services.dispatch.commands import (
    CaseCommand,
    Contact,
    ReportProgress,
    TakeReport,
    TakeSettlement,
)
from services.dispatch.states import Case
from shared.contracts.base import Sealed
from shared.contracts.dispatch import DispatchFact, ReportRefused
from shared.errors import Refused
from tests.dispatch.scenes import COMMANDS, SCENES

ALREADY_SO: Final = "already so"
NEWS: Final = (Contact, ReportProgress, TakeReport)
"""Said again, it is said again."""

_UNRESOLVED: Final = (
    "opened accepted dispatched under-way assisted returned redirected rework reopened"
)
_AFTER_OPENING: Final = f"{_UNRESOLVED} resolved to-be-checked checked on-spot"
_AFTER_ACCEPTANCE: Final = _AFTER_OPENING.removeprefix("opened ")
_RESOLVED: Final = "resolved to-be-checked checked on-spot"
_LED_BY_DRAINS: Final = "dispatched under-way assisted rework"
_UNLED: Final = "accepted returned reopened"
_NOTHING_TO_CHECK: Final = {
    "not-yet": "unopened",
    "not-resolved": _UNRESOLVED,
    "verification-not-asked": "resolved on-spot",
    "already-closed": "closed",
}
_NOT_OF_DRAINS: Final = {
    "not-yet": "unopened",
    "not-dispatched": "opened accepted on-spot reopened",
    "already-returned": "returned",
    "not-the-named-unit": "redirected",
    "already-closed": "closed",
}
_NOT_OF_LIGHTS: Final = {
    "not-yet": "unopened",
    "not-dispatched": "opened accepted returned on-spot reopened",
    "not-the-named-unit": "dispatched under-way resolved to-be-checked checked rework",
    "already-closed": "closed",
}
_DISPATCHED_LATE: Final = {
    "not-yet": "unopened",
    "not-accepted": "opened",
    "already-resolved": _RESOLVED,
    "already-closed": "closed",
}

OUTCOMES: Final[dict[str, dict[str, str]]] = {
    "open": {"→ case-opened": "unopened", ALREADY_SO: f"{_AFTER_OPENING} closed"},
    "accept": {
        "not-yet": "unopened",
        "→ case-accepted": "opened",
        ALREADY_SO: _AFTER_ACCEPTANCE,
        "already-closed": "closed",
    },
    "decline": {
        "not-yet": "unopened",
        "→ case-declined + case-closed": "opened",
        "already-accepted": _AFTER_ACCEPTANCE,
        "already-closed": "closed",
    },
    "refer": {
        "not-yet": "unopened",
        "→ case-referred + case-closed": f"opened {_UNLED}",
        "already-dispatched": f"{_LED_BY_DRAINS} redirected",
        "already-resolved": _RESOLVED,
        "already-closed": "closed",
    },
    "dispatch drains": {
        **_DISPATCHED_LATE,
        "→ case-dispatched": _UNLED,
        ALREADY_SO: _LED_BY_DRAINS,
        "already-dispatched": "redirected",
    },
    "dispatch lights": {
        **_DISPATCHED_LATE,
        "→ case-dispatched": _UNLED,
        ALREADY_SO: "redirected",
        "already-dispatched": _LED_BY_DRAINS,
    },
    "let lights assist": {
        **_DISPATCHED_LATE,
        "no-lead-yet": _UNLED,
        "→ case-dispatched": "dispatched under-way rework",
        ALREADY_SO: "assisted",
        "already-lead": "redirected",
    },
    "let drains assist": {
        **_DISPATCHED_LATE,
        "no-lead-yet": _UNLED,
        "→ case-dispatched": "redirected",
        "already-lead": _LED_BY_DRAINS,
    },
    "redirect to lights": {
        "not-yet": "unopened",
        "not-dispatched": f"opened {_UNLED}",
        "→ case-redirected": _LED_BY_DRAINS,
        "already-lead": "redirected",
        "already-resolved": _RESOLVED,
        "already-closed": "closed",
    },
    "redirect to drains": {
        "not-yet": "unopened",
        "not-dispatched": f"opened {_UNLED}",
        "→ case-redirected": "redirected",
        "already-lead": _LED_BY_DRAINS,
        "already-resolved": _RESOLVED,
        "already-closed": "closed",
    },
    "contact": {
        "not-yet": "unopened",
        "→ resident-contacted": _AFTER_OPENING,
        "already-closed": "closed",
    },
    "drains contact": {
        **_NOT_OF_DRAINS,
        "→ resident-contacted": f"{_LED_BY_DRAINS} resolved to-be-checked checked",
    },
    "verify": {
        **_NOTHING_TO_CHECK,
        "→ resolution-verified": "to-be-checked",
        ALREADY_SO: "checked",
    },
    "verify with a note": {
        **_NOTHING_TO_CHECK,
        "→ resolution-verified": "to-be-checked",
        "already-verified": "checked",
    },
    "order rework": {
        **_NOTHING_TO_CHECK,
        "→ rework-ordered": "to-be-checked",
        "already-verified": "checked",
    },
    "drains report in": {
        **_NOT_OF_DRAINS,
        "→ unit-reported": "dispatched",
        ALREADY_SO: "under-way assisted resolved to-be-checked checked rework",
    },
    "lights report in": {**_NOT_OF_LIGHTS, "→ unit-reported": "assisted redirected"},
    "drains report progress": {
        **_NOT_OF_DRAINS,
        "not-reported-in": "dispatched",
        "→ progress-reported": "under-way assisted rework",
        "already-resolved": "resolved to-be-checked checked",
    },
    "lights report progress": {**_NOT_OF_LIGHTS, "not-reported-in": "assisted redirected"},
    "drains return": {
        **_NOT_OF_DRAINS,
        "→ assignment-returned": _LED_BY_DRAINS,
        "already-resolved": "resolved to-be-checked checked",
    },
    "lights return": {**_NOT_OF_LIGHTS, "→ assignment-returned": "assisted redirected"},
    "drains resolve": {
        **_NOT_OF_DRAINS,
        "not-reported-in": "dispatched",
        "→ case-resolved": "under-way assisted rework",
        "already-resolved": "resolved to-be-checked checked",
    },
    "lights resolve": {
        **_NOT_OF_LIGHTS,
        "not-the-lead": "assisted",
        "not-reported-in": "redirected",
    },
    "a partner reports drains in": {
        "not-yet": "unopened",
        "→ report-refused not-dispatched": "opened accepted on-spot reopened",
        "→ report-refused already-returned": "returned",
        "→ report-refused not-the-named-unit": "redirected",
        "→ unit-reported": "dispatched",
        "→ report-noted": "under-way assisted resolved to-be-checked checked rework",
        "→ report-refused already-closed": "closed",
    },
    "a partner reports lights in": {
        "not-yet": "unopened",
        "→ report-refused not-dispatched": "opened accepted returned on-spot reopened",
        "→ report-refused not-the-named-unit": (
            "dispatched under-way resolved to-be-checked checked rework"
        ),
        "→ unit-reported": "assisted redirected",
        "→ report-refused already-closed": "closed",
    },
    "a partner reports progress of drains": {
        "not-yet": "unopened",
        "→ report-refused not-dispatched": "opened accepted on-spot reopened",
        "→ report-refused already-returned": "returned",
        "→ report-refused not-the-named-unit": "redirected",
        "→ report-refused not-reported-in": "dispatched",
        "→ progress-reported": "under-way assisted rework",
        "→ report-refused already-resolved": "resolved to-be-checked checked",
        "→ report-refused already-closed": "closed",
    },
    "a rating: solved": {
        "not-yet": "unopened",
        "not-resolved": f"{_UNRESOLVED} closed",
        "→ case-closed": _RESOLVED,
    },
    "a rating: not solved": {
        "not-yet": "unopened",
        "not-resolved": f"{_UNRESOLVED} closed",
        "→ case-reopened": _RESOLVED,
    },
    "a withdrawal": {
        "not-yet": "unopened",
        "→ case-closed": _AFTER_OPENING,
        ALREADY_SO: "closed",
    },
    "a settlement elsewhere": {
        "not-yet": "unopened",
        "→ case-resolved + case-closed": _UNRESOLVED,
        "→ case-closed": _RESOLVED,
        ALREADY_SO: "closed",
    },
}
"""By command: what comes of it, and where."""

EXPECTED: Final = [
    (command, scene, outcome)
    for command, outcomes in OUTCOMES.items()
    for outcome, scenes in outcomes.items()
    for scene in scenes.split()
]


def outcome_of(state: Case, command: CaseCommand) -> tuple[str, list[DispatchFact]]:
    """In the words of the table, and the facts that follow."""
    try:
        facts = CASE.decide(state, command)
    except Refused as refusal:
        return refusal.code, []
    if not facts:
        return ALREADY_SO, []
    return f"→ {' + '.join(map(_told, facts))}", list(facts)


def _told(fact: DispatchFact) -> str:
    tag = fact.type.removesuffix(".v1")
    return f"{tag} {fact.code}" if isinstance(fact, ReportRefused) else tag


def brings_text(command: CaseCommand) -> bool:
    """The text of a settlement elsewhere is kept by the wish, whatever the case makes of it."""
    if isinstance(command, TakeSettlement):
        return False
    return any(isinstance(getattr(command, field.name), Sealed) for field in fields(command))


def test_the_table_asks_every_command_everywhere_once() -> None:
    asked = sorted((command, scene) for command, scene, _ in EXPECTED)
    assert asked == sorted((command, scene) for command in COMMANDS for scene in SCENES)


def test_the_scenes_and_commands_are_of_every_kind_there_is() -> None:
    assert {type(CASE.fold(facts)) for facts in SCENES.values()} == set(get_args(Case))
    assert {type(command) for command in COMMANDS.values()} == set(get_args(CaseCommand))


@pytest.mark.parametrize(("command", "scene", "outcome"), EXPECTED)
def test_a_command_comes_to(command: str, scene: str, outcome: str) -> None:
    assert outcome_of(CASE.fold(SCENES[scene]), COMMANDS[command])[0] == outcome


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_asked_twice_adds_nothing_and_loses_no_text(command: CaseCommand) -> None:
    for scene in SCENES.values():
        _, facts = outcome_of(CASE.fold(scene), command)
        again, more = outcome_of(CASE.fold((*scene, *facts)), command)
        if isinstance(command, NEWS):
            assert bool(more) == bool(facts)
        else:
            assert more == []
            assert not (facts and brings_text(command) and again == ALREADY_SO)
