"""Where a wish can stand, and what can be said about it."""

from typing import Final

from services.intake.commands import (
    NoteCaseStand,
    Rate,
    ReceiveReport,
    SettleElsewhere,
    Submit,
    Supplement,
    WishCommand,
    Withdraw,
)
from shared.contracts.base import Sealed
from shared.contracts.intake import IntakeFact, WishSubmitted
from tests.build import (
    COMMUNITY,
    DRAINS,
    OFFICER,
    POLICY,
    RESIDENT_ACTOR,
    invited,
    noted,
    rated,
    sealed,
    submitted,
)
from tests.samples import PARTNER, REQUEST, SETTLED_ELSEWHERE, WITHDRAWN

Facts = tuple[IntakeFact, ...]

SENT: Final = submitted()
RESOLVED: Final[Facts] = (noted(6, rateable=True), invited(6))
SOLVED: Final = rated(6, solved=True)
NOT_SOLVED: Final = rated(6, solved=False, satisfaction=1)

SCENES: Final[dict[str, Facts]] = {
    "unsent": (),
    "submitted": (SENT,),
    "rateable": (SENT, *RESOLVED),
    "rated": (SENT, *RESOLVED, SOLVED),
    "rated-unsolved": (SENT, *RESOLVED, NOT_SOLVED),
    "reopened": (SENT, *RESOLVED, NOT_SOLVED, noted(7)),
    "withdrawn": (SENT, WITHDRAWN),
    "settled-elsewhere": (SENT, SETTLED_ELSEWHERE),
    "closed": (SENT, noted(6), noted(7, closed=True)),
    "closed-rated": (SENT, *RESOLVED, SOLVED, noted(7, closed=True)),
    "closed-withdrawn": (SENT, WITHDRAWN, noted(7, closed=True)),
    "closed-settled": (SENT, SETTLED_ELSEWHERE, noted(2), noted(3, closed=True)),
}


def submit(sent: WishSubmitted = SENT) -> Submit:
    return Submit(**{name: value for name, value in sent if name != "type"})


def note(case_version: int, *, rateable: bool = False, closed: bool = False) -> NoteCaseStand:
    return NoteCaseStand(by=POLICY, case_version=case_version, rateable=rateable, closed=closed)


def rate(*, solved: bool, satisfaction: int = 4, words: Sealed | None = None) -> Rate:
    return Rate(RESIDENT_ACTOR, solved, satisfaction, words)


SUPPLEMENT: Final = Supplement(RESIDENT_ACTOR, sealed("今天又堵了"))
WITHDRAW: Final = Withdraw(RESIDENT_ACTOR)
WITHDRAW_BECAUSE: Final = Withdraw(RESIDENT_ACTOR, sealed("已自行解决"))
SETTLE_ELSEWHERE: Final = SettleElsewhere(
    COMMUNITY, SETTLED_ELSEWHERE.outcome, SETTLED_ELSEWHERE.note
)
ARRIVAL: Final = ReceiveReport(PARTNER, DRAINS, REQUEST)
PROGRESS: Final = ReceiveReport(PARTNER, DRAINS, REQUEST, sealed("在修"))

COMMANDS: Final[dict[str, WishCommand]] = {
    "submit": submit(),
    "supplement": SUPPLEMENT,
    "withdraw": WITHDRAW,
    "withdraw with a reason": WITHDRAW_BECAUSE,
    "staff withdraw": Withdraw(OFFICER, for_them=True),
    "settle elsewhere": SETTLE_ELSEWHERE,
    "rate: solved": rate(solved=True),
    "rate: solved, less content": rate(solved=True, satisfaction=3),
    "rate: solved, with words": rate(solved=True, words=sealed("很满意")),
    "rate: not solved": rate(solved=False, satisfaction=1),
    "a partner reports a unit in": ARRIVAL,
    "a partner reports progress": PROGRESS,
    "the case said before": note(5),
    "the case is resolved": note(20),
    "the case is to be rated": note(20, rateable=True),
    "the case is closed": note(20, closed=True),
}
