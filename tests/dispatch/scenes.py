"""Where a case can stand, and what can be asked of it."""

from typing import Final

from services.dispatch.commands import (
    Accept,
    CaseCommand,
    Contact,
    Decline,
    Dispatch,
    Open,
    OrderRework,
    Redirect,
    Refer,
    ReportIn,
    ReportProgress,
    Resolve,
    Return,
    Settlement,
    TakeRating,
    TakeReport,
    TakeSettlement,
    TakeWithdrawal,
    Verify,
)
from shared.contracts.base import Code, Sealed, UnitId
from shared.contracts.dispatch import DispatchFact
from tests.build import (
    ACCEPTED,
    APPEAL,
    COMMUNITY,
    CREW,
    DRAINS,
    DUE,
    GRID,
    LATER,
    LIGHTS,
    OFFICER,
    POLICY,
    REOPENED,
    RESIDENT,
    dispatched,
    opened,
    reported,
    resolved,
    sealed,
)
from tests.samples import (
    PARTNER,
    REQUEST,
    REWORK,
    SETTLED,
    SETTLED_ELSEWHERE,
    assisting,
    closed,
    on_spot,
    redirected,
    returned,
    to_be_checked,
    verified,
)

Facts = tuple[DispatchFact, ...]

AT_OPENING: Final[Facts] = (opened(),)
AT_ACCEPTANCE: Final[Facts] = (*AT_OPENING, ACCEPTED)
AT_DISPATCH: Final[Facts] = (*AT_ACCEPTANCE, dispatched())
AT_WORK: Final[Facts] = (*AT_DISPATCH, reported())
WITH_HELP: Final[Facts] = (*AT_WORK, assisting())
AT_RESOLUTION: Final[Facts] = (*AT_WORK, resolved())
TO_BE_CHECKED: Final[Facts] = (*AT_WORK, to_be_checked())
CHECKED: Final[Facts] = (*TO_BE_CHECKED, verified())

SCENES: Final[dict[str, Facts]] = {
    "unopened": (),
    "opened": AT_OPENING,
    "accepted": AT_ACCEPTANCE,
    "dispatched": AT_DISPATCH,
    "under-way": AT_WORK,
    "assisted": WITH_HELP,
    "returned": (*AT_DISPATCH, returned()),
    "redirected": (*AT_WORK, redirected()),
    "resolved": AT_RESOLUTION,
    "to-be-checked": TO_BE_CHECKED,
    "checked": CHECKED,
    "on-spot": (*AT_ACCEPTANCE, on_spot()),
    "rework": (*TO_BE_CHECKED, REWORK),
    "reopened": (*AT_RESOLUTION, REOPENED),
    "closed": (*AT_RESOLUTION, closed("rated", 4)),
}
"""Drains lead, but where lights took over: in `redirected`. Lights assist in `assisted`."""


def dispatch(unit: UnitId = DRAINS) -> Dispatch:
    return Dispatch(by=COMMUNITY, unit=unit)


def assist(unit: UnitId = LIGHTS) -> Dispatch:
    return Dispatch(by=COMMUNITY, unit=unit, role="assist")


def redirect(unit: UnitId = LIGHTS) -> Redirect:
    return Redirect(by=COMMUNITY, unit=unit, reason=sealed("该处由路灯所维护"))


def report_in(unit: UnitId = DRAINS) -> ReportIn:
    return ReportIn(by=CREW, unit=unit)


def report_progress(unit: UnitId = DRAINS) -> ReportProgress:
    return ReportProgress(by=CREW, unit=unit, note=sealed("在修"))


def give_back(unit: UnitId = DRAINS) -> Return:
    return Return(by=CREW, unit=unit, reason=sealed("不属本单位"))


def resolve(
    unit: UnitId = DRAINS, outcome: str = "resolved", *, rating: bool = True, check: bool = False
) -> Resolve:
    note = sealed("疏通了")
    return Resolve(CREW, unit, Code(outcome), note, rating_asked=rating, verification_asked=check)


def take_report(unit: UnitId = DRAINS, note: Sealed | None = None) -> TakeReport:
    return TakeReport(by=PARTNER, unit=unit, request=REQUEST, note=note)


def take_rating(*, solved: bool, wish_version: int = 6) -> TakeRating:
    return TakeRating(by=POLICY, wish_version=wish_version, resolved=solved, due=LATER)


OPEN: Final = Open(
    by=POLICY,
    wish_version=1,
    kind=APPEAL,
    category=Code("sanitation"),
    area=GRID,
    resident=RESIDENT,
)
SETTLEMENT: Final = Settlement(
    SETTLED.by, SETTLED.outcome, SETTLED.note, due=DUE, rating_asked=True
)
ACCEPT: Final = Accept(by=COMMUNITY, due=DUE)
DECLINE: Final = Decline(by=COMMUNITY, rule=Code("in-court"), reason=sealed("已进入司法程序"))
REFER: Final = Refer(by=COMMUNITY, to=Code("police"), reason=sealed("属公安机关"))
CONTACT: Final = Contact(by=OFFICER, note=sealed("约了明天"))
VERIFY: Final = Verify(by=OFFICER)
ORDER_REWORK: Final = OrderRework(by=OFFICER, reason=sealed("还在渗水"), due=LATER)
SETTLED_OUTSIDE: Final = TakeSettlement(
    by=POLICY,
    wish_version=6,
    settled_by=SETTLED_ELSEWHERE.by,
    outcome=SETTLED_ELSEWHERE.outcome,
    note=SETTLED_ELSEWHERE.note,
)
WITHDRAWAL: Final = TakeWithdrawal(by=POLICY, wish_version=6)

COMMANDS: Final[dict[str, CaseCommand]] = {
    "open": OPEN,
    "accept": ACCEPT,
    "decline": DECLINE,
    "refer": REFER,
    "dispatch drains": dispatch(),
    "dispatch lights": dispatch(LIGHTS),
    "let lights assist": assist(),
    "let drains assist": assist(DRAINS),
    "redirect to lights": redirect(),
    "redirect to drains": redirect(DRAINS),
    "contact": CONTACT,
    "drains contact": Contact(by=CREW, note=sealed("约了明天"), unit=DRAINS),
    "verify": VERIFY,
    "verify with a note": Verify(by=OFFICER, note=sealed("现场已恢复")),
    "order rework": ORDER_REWORK,
    "drains report in": report_in(),
    "lights report in": report_in(LIGHTS),
    "drains report progress": report_progress(),
    "lights report progress": report_progress(LIGHTS),
    "drains return": give_back(),
    "lights return": give_back(LIGHTS),
    "drains resolve": resolve(),
    "lights resolve": resolve(LIGHTS),
    "a partner reports drains in": take_report(),
    "a partner reports lights in": take_report(LIGHTS),
    "a partner reports progress of drains": take_report(note=sealed("在修")),
    "a rating: solved": take_rating(solved=True),
    "a rating: not solved": take_rating(solved=False),
    "a withdrawal": WITHDRAWAL,
    "a settlement elsewhere": SETTLED_OUTSIDE,
}
