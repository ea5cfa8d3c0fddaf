"""What else can happen in a story, and a fact of every type there is."""

from typing import Final

from shared.contracts.base import (
    ActorId,
    Code,
    EventId,
    EventSource,
    PartnerId,
    Request,
    TargetId,
    UnitId,
)
from shared.contracts.dispatch import (
    AssignmentReturned,
    CaseClosed,
    CaseDeclined,
    CaseDispatched,
    CaseRedirected,
    CaseReferred,
    CaseResolved,
    ProgressReported,
    ReportNoted,
    ReportRefused,
    ResidentContacted,
    ResolutionVerified,
    ReworkOrdered,
    UnitReported,
)
from shared.contracts.intake import (
    ProgressReportReceived,
    SettledOnSpot,
    UnitReportReceived,
    WishSettledElsewhere,
    WishSupplemented,
    WishWithdrawn,
)
from shared.contracts.registry import AnyFact
from tests.build import (
    CASE_FACTS,
    COMMUNITY,
    CREW,
    DRAINS,
    LATER,
    LIGHTS,
    OFFICER,
    POLICY,
    RESIDENT_ACTOR,
    WISH_FACTS,
    resolved,
    sealed,
)

REQUEST: Final = Request(
    partner=PartnerId("ping-an-key"), source=EventSource("/officers"), id=EventId("e-1")
)
PARTNER: Final = ActorId("system:ping-an-key")
SETTLED: Final = SettledOnSpot(outcome=Code("resolved"), by=OFFICER, note=sealed("当场劝离"))


def assisting(unit: UnitId = LIGHTS, n: int = 2) -> CaseDispatched:
    return CaseDispatched(
        by=COMMUNITY, unit=unit, role="assist", assignment=TargetId(f"assignment-{n}")
    )


def redirected(unit: UnitId = LIGHTS, n: int = 2, instead_of: int = 1) -> CaseRedirected:
    return CaseRedirected(
        by=COMMUNITY,
        unit=unit,
        assignment=TargetId(f"assignment-{n}"),
        instead_of=TargetId(f"assignment-{instead_of}"),
        reason=sealed("该处由路灯所维护"),
    )


def returned(unit: UnitId = DRAINS, n: int = 1) -> AssignmentReturned:
    return AssignmentReturned(
        by=CREW, unit=unit, to=TargetId(f"assignment-{n}"), reason=sealed("不属本单位")
    )


def progress(unit: UnitId = DRAINS, n: int = 1) -> ProgressReported:
    return ProgressReported(by=CREW, unit=unit, to=TargetId(f"assignment-{n}"), note=sealed("在修"))


def to_be_checked(unit: UnitId = DRAINS, n: int = 1, *, rating_asked: bool = True) -> CaseResolved:
    """A resolution that somebody is to look at."""
    done = resolved(unit, n, rating_asked=rating_asked)
    return done.model_copy(update={"verification_asked": True})


def on_spot(*, rating_asked: bool = True, verification_asked: bool = False) -> CaseResolved:
    """A resolution of what was settled when it was taken in."""
    return CaseResolved(
        by=SETTLED.by,
        outcome=SETTLED.outcome,
        note=SETTLED.note,
        rating_asked=rating_asked,
        verification_asked=verification_asked or None,
        on_spot=True,
    )


def verified(*, rating_asked: bool = True) -> ResolutionVerified:
    return ResolutionVerified(by=OFFICER, rating_asked=rating_asked)


def closed(reason: str, wish_version: int | None = None) -> CaseClosed:
    by = COMMUNITY if wish_version is None else POLICY
    return CaseClosed(by=by, reason=Code(reason), wish_version=wish_version)


DECLINED: Final = CaseDeclined(by=COMMUNITY, rule=Code("in-court"), reason=sealed("已进入司法程序"))
REFERRED: Final = CaseReferred(by=COMMUNITY, to=Code("police"), reason=sealed("属公安机关"))
CONTACTED: Final = ResidentContacted(by=OFFICER, note=sealed("约了明天"))
REWORK: Final = ReworkOrdered(by=OFFICER, reason=sealed("还在渗水"), due=LATER)
SUPPLEMENTED: Final = WishSupplemented(by=RESIDENT_ACTOR, words=sealed("今天又堵了"))
WITHDRAWN: Final = WishWithdrawn(by=RESIDENT_ACTOR)
SETTLED_ELSEWHERE: Final = WishSettledElsewhere(
    by=COMMUNITY, outcome=Code("resolved"), note=sealed("台账：已处理")
)
REPORT_RECEIVED: Final = UnitReportReceived(by=PARTNER, unit=DRAINS, request=REQUEST)
PROGRESS_RECEIVED: Final = ProgressReportReceived(
    by=PARTNER, unit=DRAINS, note=sealed("在修"), request=REQUEST
)

EVERY_FACT: Final[dict[str, AnyFact]] = {
    fact.type: fact
    for fact in (
        *WISH_FACTS,
        SUPPLEMENTED,
        WITHDRAWN,
        SETTLED_ELSEWHERE,
        REPORT_RECEIVED,
        PROGRESS_RECEIVED,
        *CASE_FACTS,
        DECLINED,
        REFERRED,
        redirected(),
        returned(),
        UnitReported(by=CREW, unit=DRAINS, to=TargetId("assignment-1")),
        CONTACTED,
        ReportNoted(by=PARTNER, unit=DRAINS, request=REQUEST),
        ReportRefused(by=PARTNER, unit=DRAINS, code=Code("already-closed"), request=REQUEST),
        verified(),
        REWORK,
    )
}
"""By its type tag."""
