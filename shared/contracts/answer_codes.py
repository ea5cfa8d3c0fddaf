"""Why an inbound event was refused: every code that a partner may be answered with."""

from collections.abc import Mapping
from typing import Final

ANSWER_CODES: Final[Mapping[str, str]] = {
    "unreadable-event": "The data is no JSON object. The record is kept as a dead letter.",
    "unreadable-header": "A header's name is not UTF-8. The record is kept as a dead letter.",
    "no-event-id": "There is no id that reads. The answer names the record's place instead.",
    "no-event-source": "There is no source that reads. The answer names the record's place.",
    "duplicate-attribute": "An attribute is there twice; field says which.",
    "unknown-specversion": "Only CloudEvents 1.0 is read.",
    "too-large": "An event may have at most 256 KB.",
    "invalid-event": "The data does not fit the schema of its type, or time is not RFC 3339; "
    "field says where.",
    "unknown-field": "There is a field that the schema does not know; it is not named.",
    "unknown-type": "Nobody knows this type.",
    "town-missing": "You speak for several towns: name the one that is meant.",
    "town-not-yours": "You do not speak for this town.",
    "area-not-yours": "The area does not lie in those you speak for.",
    "unit-not-yours": "You do not report for this unit.",
    "verb-not-yours": "Events of this type are not among those you may send.",
    "source-not-yours": "This source is not one of those listed for you.",
    "unknown-kind": "The town has no such kind of matter.",
    "unknown-category": "The kind has no such category.",
    "unknown-area": "The town has no such area.",
    "unknown-channel": "The town has no such channel.",
    "unknown-outcome": "The town has no such outcome.",
    "no-profile-yet": "The town is known here, but nothing is in force there yet.",
    "occurred-ahead": "The time lies in the future by more than 60 s.",
    "occurred-too-far-back": "The time lies further back than the town lets a system say.",
    "id-reused": "This id was used for something else. Send it under a new id.",
    "ref-taken": "This reference was submitted before, by another event; story says which.",
    "unknown-reference": "No wish of yours has this reference, or the story is not in your areas. "
    "Send it again under a new id, once the wish was accepted.",
    "erased": "The resident's data was erased.",
    "not-dispatched": "No unit was named for the case yet.",
    "not-the-named-unit": "The case was given to another unit.",
    "already-returned": "The unit gave the case back.",
    "not-reported-in": "The unit has not reported in; let it do so first.",
    "already-resolved": "The case was resolved.",
    "already-closed": "The case is closed.",
}
"""By code what it means and, where it helps, what to do. Codes are stable and may become more."""
