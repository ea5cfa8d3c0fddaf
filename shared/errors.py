"""What can stand in the way, named by what the caller should do about it."""

from shared.contracts.base import FactId


class Refused(Exception):
    """A rule said no. `code` is stable and names the rule; `field` the input it is about."""

    def __init__(self, code: str, detail: str = "", *, field: str | None = None) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.field = field


class Conflict(Exception):
    """Somebody else wrote to the stream first. Load again, decide again."""


class Stale(Conflict):
    """The stream is not at the version the caller saw. Read it, then ask again if still wanted."""


class TooLarge(Exception):
    """The facts of one command do not fit: a fact of over 256 KB, or a commit of over 4 MB."""


class NotYet(Exception):
    """What the caller wants to read has not arrived here. Ask again in a moment."""

    def __init__(self, position: str, *, parked: bool = False) -> None:
        super().__init__(position)
        self.position = position
        self.parked = parked


class Overloaded(Exception):
    """The queue is full. Nothing was written; send the same request again later."""


class OutcomeUnknown(Exception):
    """The store did not answer in time. Send the same request with the same key again."""


class KeyMissing(Exception):
    """The data key of a subject was erased, or never made."""


class IncompleteHistory(Exception):
    """A stream does not read as this build expects; serving it would be a guess."""

    def __init__(self, fact: FactId, reason: str) -> None:
        super().__init__(f"{fact}: {reason}")


class TooManyParked(Exception):
    """So many stories would be parked that the build must be broken; nothing more is read."""


class NotReady(Exception):
    """This process lacks something it must have first, such as a town's newer profile."""
