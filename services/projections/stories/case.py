"""The case's part of a story: what the town does about the wish."""

from typing import Any, Final

from services.projections.stories.reckoning import Reckoning
from shared.contracts.dispatch import (
    AssignmentReturned,
    CaseAccepted,
    CaseClosed,
    CaseDeclined,
    CaseDispatched,
    CaseOpened,
    CaseRedirected,
    CaseReferred,
    CaseReopened,
    CaseResolved,
    ProgressReported,
    ReportNoted,
    ReportRefused,
    ResidentContacted,
    ResolutionVerified,
    ReworkOrdered,
    UnitReported,
)
from shared.contracts.recorded import Recorded

Part = dict[str, Any]
Assignment = dict[str, str]

LIVE: Final = ("named", "reported")
"""Stands of an assignment that the unit still has on its desk."""
STANDS: Final = (*LIVE, "done", "returned", "replaced", "ended")
"""`done`: by the resolution; `replaced`: another unit, or another assignment of the same one,
took its place; `ended`: the case was closed, or settled elsewhere, before the unit was done."""
_RESOLUTION: Final = ("outcome", "resolved", "on_spot", "verification_asked", "verified")


def fold(part: Part, recorded: Recorded, _: Reckoning) -> Part:
    """The part after one more fact of the case's stream.

    `moved`: when that occurred; `wish_version`: the last fact of the wish that the case
    answered; `unit`: the one that leads, or led until the end; `assignments`: every one there was,
    `{assignment, unit, role, stand}`; `units`: every unit ever named.
    """
    fact, at = recorded.fact, recorded.occurred
    if isinstance(fact, ReportNoted | ReportRefused):
        return part
    part = {**part, "moved": max(part.get("moved", at), at)}
    match fact:
        case CaseOpened():
            opened = fact.model_dump(include={"kind", "category", "area", "wish_version"})
            return {**part, **opened, "state": "opened", "units": [], "assignments": []}
        case CaseAccepted(due=due):
            return {**part, "state": "accepted", "due": due}
        case CaseDeclined(rule=rule):
            return {**part, "declined": rule}
        case CaseReferred(to=owner):
            return {**part, "referred": owner}
        case CaseDispatched() | CaseRedirected():
            return _named(part, fact)
        case AssignmentReturned(to=target):
            return _returned(part, target)
        case UnitReported(to=target):
            leads = any(
                a["role"] == "lead" for a in part["assignments"] if a["assignment"] == target
            )
            part = _stands(part, "reported", target)
            return {**part, "state": "underway"} if leads else part
        case ResidentContacted():
            return {**part, "contacts": part.get("contacts", 0) + 1}
        case ProgressReported():
            return {**part, "progress": part.get("progress", 0) + 1}
        case CaseResolved():
            asked = {"verification_asked", "on_spot"}
            said = fact.model_dump(include={"outcome", *asked}, exclude_none=True)
            stand = "ended" if fact.elsewhere else "done"
            done = _stands(_unresolved(part), stand, *_live(part))
            return {**done, **said, "state": "resolved", "resolved": at}
        case ResolutionVerified():
            return {**part, "verified": at}
        case ReworkOrdered(due=due):
            return {**_at_work_again(_unresolved(part)), "due": due}
        case CaseReopened(due=due, wish_version=version):
            again = _without(_unresolved(part), "unit")
            times = part.get("reopened", 0) + 1
            return {
                **again,
                "state": "accepted",
                "due": due,
                "wish_version": version,
                "reopened": times,
            }
        case CaseClosed(reason=reason, wish_version=version):
            answered = version or part["wish_version"]
            closed = {"state": "closed", "reason": reason, "closed": at}
            return {**_stands(part, "ended", *_live(part)), **closed, "wish_version": answered}
    return part


def _named(part: Part, fact: CaseDispatched | CaseRedirected) -> Part:
    """One more assignment. A unit has one desk: what it still held there is replaced, and so is
    the lead when the case is redirected."""
    held = {a["assignment"] for a in part["assignments"] if a["unit"] == fact.unit}
    gone = held & set(_live(part))
    role = "lead"
    if isinstance(fact, CaseRedirected):
        gone.add(fact.instead_of)
    else:
        role = fact.role
    named = {"assignment": fact.assignment, "unit": fact.unit, "role": role, "stand": "named"}
    part = _stands(part, "replaced", *gone)
    part["assignments"] = [*part["assignments"], named]
    if fact.unit not in part["units"]:
        part["units"] = [*part["units"], fact.unit]
    return {**part, "state": "dispatched", "unit": fact.unit} if role == "lead" else part


def _returned(part: Part, target: str) -> Part:
    part = _stands(part, "returned", target)
    live = [a for a in part["assignments"] if a["assignment"] in _live(part)]
    if any(a["role"] == "lead" for a in live):
        return part
    return {**_without(part, "unit"), "state": "accepted"}


def _at_work_again(part: Part) -> Part:
    """The unit that led last goes on where it said it was done; else the case waits for one."""
    led = next((a for a in reversed(part["assignments"]) if a["role"] == "lead"), None)
    if led is None or led["stand"] != "done":
        return {**_without(part, "unit"), "state": "accepted"}
    at_work = _stands(part, "reported", led["assignment"])
    return {**at_work, "state": "underway", "unit": led["unit"]}


def _stands(part: Part, stand: str, *targets: str) -> Part:
    """The part with these assignments at `stand`."""
    moved = [
        {**a, "stand": stand} if a["assignment"] in targets else a for a in part["assignments"]
    ]
    return {**part, "assignments": moved}


def _live(part: Part) -> list[str]:
    return [a["assignment"] for a in part["assignments"] if a["stand"] in LIVE]


def _unresolved(part: Part) -> Part:
    """No resolution stands."""
    return _without(part, *_RESOLUTION)


def _without(part: Part, *fields: str) -> Part:
    return {name: value for name, value in part.items() if name not in fields}
