"""What MongoDB's queries and updates say about one document, as far as the house says any.

Whatever else is asked raises NotImplementedError: a twin that guesses proves nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Document = dict[str, Any]
MISSING = object()


def matches(document: Document, query: Mapping[str, Any], now: datetime) -> bool:
    """Whether the document is asked for."""
    for field, wanted in query.items():
        if field == "$or":
            if not any(matches(document, each, now) for each in wanted):
                return False
        elif field == "$expr":
            if not value_of(wanted, document, now):
                return False
        elif field.startswith("$"):
            raise NotImplementedError(field)
        elif not _holds(value_at(document, field), wanted):
            return False
    return True


def value_at(document: Any, path: str) -> Any:
    """The value at `a.b.c`."""
    for name in path.split("."):
        if not isinstance(document, dict):
            return MISSING
        document = document.get(name, MISSING)
    return document


def _holds(value: Any, wanted: Any) -> bool:
    if not (isinstance(wanted, dict) and any(key.startswith("$") for key in wanted)):
        return bool(value == wanted)
    return all(_compares(value, operator, with_) for operator, with_ in wanted.items())


def _compares(value: Any, operator: str, wanted: Any) -> bool:
    match operator:
        case "$exists":
            return (value is not MISSING) == bool(wanted)
        case "$ne":
            return bool(value != wanted)
        case "$in":
            return value in wanted
        case "$gte":
            return value is not MISSING and bool(value >= wanted)
        case "$gt":
            return value is not MISSING and bool(value > wanted)
        case "$lt":
            return value is not MISSING and bool(value < wanted)
    raise NotImplementedError(operator)


def value_of(expression: Any, document: Document, now: datetime) -> Any:
    """What an aggregation expression comes to."""
    if isinstance(expression, str) and expression.startswith("$"):
        return now if expression == "$$NOW" else document.get(expression[1:])
    if not isinstance(expression, dict):
        return expression
    ((operator, of),) = expression.items()
    if operator == "$literal":
        return of
    parts = [value_of(part, document, now) for part in of]
    match operator:
        case "$or":
            return any(parts)
        case "$eq":
            return parts[0] == parts[1]
        case "$lte":
            return parts[0] <= parts[1]
        case "$add" if isinstance(parts[0], datetime):
            return parts[0] + timedelta(milliseconds=parts[1])
        case "$add":
            return parts[0] + parts[1]
    raise NotImplementedError(operator)


def updated(
    before: Document | None, name: Any, update: Mapping[str, Any] | Sequence[Any], now: datetime
) -> Document:
    """The document after an update; `before` is None where the update makes it."""
    after = {"_id": name} if before is None else {**before}
    if not isinstance(update, Mapping):
        (stage,) = update
        ((operator, fields),) = stage.items()
        if operator != "$set":
            raise NotImplementedError(operator)
        return {**after, **{f: value_of(of, after, now) for f, of in fields.items()}}
    for operator, fields in update.items():
        if operator == "$setOnInsert" and before is not None:
            continue
        for field, value in fields.items():
            after[field] = _changed(operator, after.get(field), value)
    return after


def _changed(operator: str, old: Any, value: Any) -> Any:
    match operator:
        case "$set" | "$setOnInsert":
            return value
        case "$inc":
            return (old or 0) + value
        case "$max":
            return value if old is None else max(old, value)
    raise NotImplementedError(operator)
