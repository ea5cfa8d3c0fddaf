"""The case's part of a story: what the town does about the wish."""

from typing import Any

from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseDispatched,
    CaseOpened,
    CaseReopened,
    CaseResolved,
    ProgressReported,
    UnitReported,
)
from shared.contracts.recorded import Recorded

Part = dict[str, Any]


def fold(part: Part, recorded: Recorded) -> Part:
    """The part after one more fact of the case's stream. `moved`: when that occurred;
    `wish_version`: the last fact of the wish that the case answered."""
    at = recorded.occurred
    part = {**part, "moved": max(part.get("moved", at), at)}
    match recorded.fact:
        case CaseOpened() as fact:
            opened = fact.model_dump(include={"kind", "category", "area", "wish_version"})
            return {**part, **opened, "state": "opened", "units": []}
        case CaseAccepted(due=due):
            return {**part, "state": "accepted", "due": due}
        case CaseDispatched(unit=unit):
            units = [*part["units"], unit] if unit not in part["units"] else part["units"]
            return {**part, "state": "dispatched", "unit": unit, "units": units}
        case UnitReported():
            return {**part, "state": "underway"}
        case ProgressReported():
            return {**part, "progress": part.get("progress", 0) + 1}
        case CaseResolved(outcome=outcome):
            return {**part, "state": "resolved", "outcome": outcome, "resolved": at}
        case CaseReopened(due=due, wish_version=version):
            reopened = {**part, "state": "accepted", "due": due, "wish_version": version}
            for over in ("unit", "outcome", "resolved"):
                reopened.pop(over, None)
            return {**reopened, "reopened": part.get("reopened", 0) + 1}
        case CaseClosed(reason=reason, wish_version=version):
            answered = version or part["wish_version"]
            closed = {"state": "closed", "reason": reason, "closed": at}
            return {**part, **closed, "wish_version": answered}
    return part
