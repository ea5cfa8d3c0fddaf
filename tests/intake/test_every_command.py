"""Whatever can be said of a wish, wherever it stands: decided, already so, or refused."""

from typing import Final, get_args

import pytest

from services.intake.commands import ReceiveReport, Supplement, WishCommand
from services.intake.wish import WISH, Wish
from shared.errors import Refused
from tests.intake.scenes import COMMANDS, SCENES

ALREADY_SO: Final = "already so"
NEWS: Final = (Supplement, ReceiveReport)
"""Said again, it is said again."""

_SENT: Final = (
    "submitted rateable rated rated-unsolved reopened withdrawn settled-elsewhere "
    "closed closed-rated closed-withdrawn closed-settled"
)
_WITHDRAWN: Final = "withdrawn closed-withdrawn"
_SETTLED: Final = "settled-elsewhere"
_CLOSED: Final = "closed closed-rated closed-settled"
_RATE: Final = {
    "unknown-wish": "unsent",
    "not-resolved-yet": f"submitted reopened {_SETTLED}",
    "→ wish-rated": "rateable",
    "already-withdrawn": _WITHDRAWN,
    "already-closed": "closed closed-settled",
}

OUTCOMES: Final[dict[str, dict[str, str]]] = {
    "submit": {"→ wish-submitted": "unsent", ALREADY_SO: _SENT},
    "supplement": {
        "unknown-wish": "unsent",
        "→ wish-supplemented": "submitted rateable rated rated-unsolved reopened",
        "already-withdrawn": _WITHDRAWN,
        "already-settled": _SETTLED,
        "already-closed": _CLOSED,
    },
    "withdraw": {
        "unknown-wish": "unsent",
        "→ wish-withdrawn": "submitted rateable reopened",
        "already-rated": "rated rated-unsolved",
        ALREADY_SO: _WITHDRAWN,
        "already-settled": _SETTLED,
        "already-closed": _CLOSED,
    },
    "withdraw with a reason": {
        "unknown-wish": "unsent",
        "→ wish-withdrawn": "submitted rateable reopened",
        "already-rated": "rated rated-unsolved",
        "already-withdrawn": _WITHDRAWN,
        "already-settled": _SETTLED,
        "already-closed": _CLOSED,
    },
    "staff withdraw": {
        "unknown-wish": "unsent",
        "→ wish-withdrawn": "submitted reopened",
        "rating-awaited": "rateable",
        "already-rated": "rated rated-unsolved",
        ALREADY_SO: _WITHDRAWN,
        "already-settled": _SETTLED,
        "already-closed": _CLOSED,
    },
    "settle elsewhere": {
        "unknown-wish": "unsent",
        "→ wish-settled-elsewhere": "submitted reopened",
        "already-resolved": "rateable rated rated-unsolved",
        "already-withdrawn": _WITHDRAWN,
        "already-settled": _SETTLED,
        "already-closed": _CLOSED,
    },
    "rate: solved": {
        **_RATE,
        ALREADY_SO: "rated closed-rated",
        "already-rated": "rated-unsolved",
    },
    "rate: solved, less content": {**_RATE, "already-rated": "rated rated-unsolved closed-rated"},
    "rate: solved, with words": {**_RATE, "already-rated": "rated rated-unsolved closed-rated"},
    "rate: not solved": {
        **_RATE,
        ALREADY_SO: "rated-unsolved",
        "already-rated": "rated closed-rated",
    },
    "a partner reports a unit in": {"unknown-wish": "unsent", "→ unit-report-received": _SENT},
    "a partner reports progress": {"unknown-wish": "unsent", "→ progress-report-received": _SENT},
    "the case said before": {
        "unknown-wish": "unsent",
        "→ case-stand-noted": "submitted withdrawn settled-elsewhere closed-settled",
        ALREADY_SO: "rateable rated rated-unsolved reopened closed closed-rated closed-withdrawn",
    },
    "the case is resolved": {"unknown-wish": "unsent", "→ case-stand-noted": _SENT},
    "the case is to be rated": {
        "unknown-wish": "unsent",
        "→ case-stand-noted": "withdrawn settled-elsewhere",
        "→ case-stand-noted + rating-invited": _SENT.replace(" withdrawn settled-elsewhere", ""),
    },
    "the case is closed": {"unknown-wish": "unsent", "→ case-stand-noted": _SENT},
}
"""By command: what comes of it, and where."""

EXPECTED: Final = [
    (command, scene, outcome)
    for command, outcomes in OUTCOMES.items()
    for outcome, scenes in outcomes.items()
    for scene in scenes.split()
]


def test_the_table_asks_every_command_everywhere_once() -> None:
    asked = sorted((command, scene) for command, scene, _ in EXPECTED)
    assert asked == sorted((command, scene) for command in COMMANDS for scene in SCENES)


def test_the_scenes_and_commands_are_of_every_kind_there_is() -> None:
    assert {type(WISH.fold(facts)) for facts in SCENES.values()} == set(get_args(Wish))
    assert {type(command) for command in COMMANDS.values()} == set(get_args(WishCommand))


@pytest.mark.parametrize(("command", "scene", "outcome"), EXPECTED)
def test_what_is_said_comes_to(command: str, scene: str, outcome: str) -> None:
    try:
        facts = WISH.decide(WISH.fold(SCENES[scene]), COMMANDS[command])
    except Refused as refusal:
        found = refusal.code
    else:
        told = " + ".join(fact.type.removesuffix(".v1") for fact in facts)
        found = f"→ {told}" if facts else ALREADY_SO
    assert found == outcome


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_said_twice_adds_nothing_and_loses_no_text(command: WishCommand) -> None:
    """What is supplemented or reported twice was said twice."""
    texts = (getattr(command, field, None) for field in ("words", "reason", "note"))
    loses_text = any(texts)
    for scene in SCENES.values():
        try:
            facts = WISH.decide(WISH.fold(scene), command)
        except Refused:
            continue
        again = WISH.fold((*scene, *facts))
        if isinstance(command, NEWS):
            assert len(WISH.decide(again, command)) == len(facts)
        elif facts and loses_text and scene:
            with pytest.raises(Refused):
                WISH.decide(again, command)
        else:
            assert WISH.decide(again, command) == []
