"""Every code with which a request or an event can be refused: one list, for programs and people.

A code is stable: it may get a clearer meaning here, never another one. What a service answers is
in its OpenAPI document (`Problem.code`, and `x-codes` with meanings); a partner's answers on Kafka
carry the same codes.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

Where = Literal["intake", "dispatch", "projections", "gate"]
_WHERE: Final[dict[str, Where]] = {
    "I": "intake",
    "D": "dispatch",
    "P": "projections",
    "G": "gate",
}


class Code(NamedTuple):
    """A code, the HTTP statuses it comes with (none on Kafka), what it means, and who says it."""

    code: str
    statuses: tuple[int, ...]
    where: tuple[Where, ...]
    says: str


def _code(code: str, status: int | tuple[int, ...], where: str, says: str) -> Code:
    statuses = status if isinstance(status, tuple) else (status,)
    return Code(code, statuses if where != "G" else (), tuple(_WHERE[w] for w in where), says)


CODES: Final[tuple[Code, ...]] = (
    # the request itself
    _code("unreadable-body", 400, "IDP", "the body is not JSON"),
    _code("unauthenticated", 401, "IDP", "no credentials, or none that hold"),
    _code("forbidden", 403, "IDP", "this role may not do this at all"),
    _code("no-such-path", 404, "IDP", "nothing answers at this path"),
    _code("no-such-method", 405, "IDP", "the path is there, the method is not; see Allow"),
    _code("too-large", 413, "IDPG", "the body has more than 256 KB, or the event or the facts do"),
    _code("invalid-request", 422, "IDP", "the field does not have the form it must have"),
    _code("unknown-parameter", 422, "IDP", "there is no such parameter"),
    _code("repeated-parameter", 422, "IDP", "a parameter is said twice"),
    _code("bad-position", 422, "IDP", "at_least is no position, or belongs to another story"),
    _code("bad-cursor", 422, "P", "after is no cursor of this list and order"),
    _code("key-reused", 422, "ID", "this Idempotency-Key was used for another request"),
    # who and where
    _code("unknown-story", 404, "IDP", "there is no such story, or it is not for you"),
    _code("area-not-yours", 422, "IPG", "you do not answer for this area"),
    _code("area-missing", 422, "P", "say which area"),
    _code("foreign-origin", 409, "P", "a form of the pages was sent from elsewhere"),
    _code("no-unit", 409, "DP", "the token names no unit"),
    _code("not-your-unit", 422, "P", "a unit reads its own desk"),
    _code("unit-missing", 422, "P", "say whose desk"),
    _code("not-yours-to-settle", 422, "I", "only staff settle something on the spot"),
    # what the town knows
    _code("unknown-area", 422, "IPG", "the town has no such area"),
    _code("unknown-kind", 422, "IDPG", "the town has no such kind of matter"),
    _code("unknown-category", 422, "IPG", "the kind, or the town, has no such category"),
    _code("unknown-channel", 422, "IPG", "the town has no such channel"),
    _code("unknown-outcome", 422, "IDG", "the town has no such outcome"),
    _code("unknown-rule", 422, "D", "the town has no such rule for declining"),
    _code("unknown-owner", 422, "D", "the town knows no such owner to refer to"),
    _code("unknown-unit", 422, "DP", "the town has no such unit"),
    _code("no-profile-yet", 409, "IDG", "no profile of the town was in force at that time"),
    _code("from-after-to", 422, "P", "the first day comes after the last"),
    _code("period-too-long", 422, "P", "a report spans at most 240 months, an overview 366 days"),
    # when it happened
    _code("occurred-ahead", 422, "IDG", "occurred lies in the future"),
    _code("occurred-too-far-back", 422, "IDG", "further back than this role may claim"),
    _code("occurred-before-submission", 422, "IDG", "it cannot have occurred before the story did"),
    # the state of things
    _code("conflict", 409, "ID", "somebody else was faster, or If-Match is not the version"),
    _code("erased", 409, "IDG", "the texts of this story were erased"),
    _code("unknown-wish", 409, "IG", "there is no such wish yet"),
    _code("already-accepted", 409, "D", "what was accepted cannot be declined any more"),
    _code("already-closed", 409, "IDG", "the case is closed"),
    _code("already-dispatched", 409, "D", "a unit has the case"),
    _code("already-lead", 409, "D", "this unit leads the case"),
    _code("already-rated", 409, "I", "it was rated; a second word would be lost"),
    _code("already-resolved", 409, "IDG", "it was resolved; a second word would be lost"),
    _code("already-settled", 409, "I", "the list it came from says that it was settled elsewhere"),
    _code("already-returned", 409, "DG", "the unit gave the case back"),
    _code("already-verified", 409, "D", "the resolution was verified"),
    _code("already-withdrawn", 409, "I", "the wish was withdrawn"),
    _code("no-lead-yet", 409, "D", "name the unit that leads first"),
    _code("not-accepted", 409, "D", "accept the case before it is dispatched"),
    _code("not-dispatched", 409, "DG", "no unit was named yet"),
    _code("not-reported-in", 409, "DG", "the unit must report in first"),
    _code("not-resolved", 409, "D", "nobody has said that it is done"),
    _code("not-resolved-yet", 409, "I", "a rating is asked once the case is resolved"),
    _code("not-the-lead", 409, "D", "the unit that leads resolves the case"),
    _code("not-the-named-unit", 409, "DG", "another unit was named"),
    _code("rating-awaited", 409, "I", "whoever asked is to say what it is worth"),
    _code("verification-not-asked", 409, "D", "the profile asks no verification of this kind"),
    # not now
    _code("not-yet", (503, 409), "IDPG", "what is waited for has not arrived here; ask again"),
    _code("parked", 503, "IDP", "the story stands still until somebody mends it"),
    _code("overloaded", 503, "IDP", "nothing was written; send the same again"),
    _code("outcome-unknown", 503, "IDP", "send the same again with the same key"),
    _code("not-ready", 503, "IDP", "this service cannot answer yet"),
    _code("store-away", 503, "IDP", "the store did not answer; send the same again"),
    _code("our-mistake", 500, "IDP", "an error of ours; it was logged"),
    # partners' events
    _code("unreadable-event", 0, "G", "the record is no CloudEvent with JSON data"),
    _code("unreadable-header", 0, "G", "a header is not UTF-8"),
    _code("duplicate-attribute", 0, "G", "an attribute is said twice"),
    _code("no-event-id", 0, "G", "the event has no id; answered with its place"),
    _code("no-event-source", 0, "G", "the event has no source"),
    _code("unknown-specversion", 0, "G", "specversion is not 1.0"),
    _code("invalid-event", 0, "G", "the field does not have the form it must have"),
    _code("unknown-type", 0, "G", "there is no such type of event"),
    _code("unknown-field", 0, "G", "the data has a field nobody knows"),
    _code("unknown-reference", 0, "G", "the reference is not known; send it again later"),
    _code("id-reused", 0, "G", "this id was used for another event"),
    _code("ref-taken", 422, "IG", "this reference is taken by another event or line; see story"),
    _code("source-not-yours", 422, "IG", "the source is not this partner's, or is a partner's"),
    _code("town-missing", 0, "G", "the partner has several towns: say which"),
    _code("town-not-yours", 0, "G", "the town is not this partner's"),
    _code("unit-not-yours", 0, "G", "the unit is not this partner's"),
    _code("verb-not-yours", 0, "G", "this partner may not send this type of event"),
)


def codes_of(where: str) -> list[Code]:
    """What one service, or the gate, may say."""
    return [code for code in CODES if where in code.where]


def table() -> Iterator[str]:
    """The list as the lines of a Markdown table."""
    yield "| code | HTTP | from | meaning |"
    yield "|---|---|---|---|"
    for code, statuses, where, says in CODES:
        yield f"| `{code}` | {', '.join(map(str, statuses))} | {', '.join(where)} | {says} |"
