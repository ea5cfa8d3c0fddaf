"""Why an import does not begin or go on, and why one line of it is refused."""


class FixFirst(Exception):
    """The list, the mapping or the address is not as it must be; the text is one sentence."""


class LineRefused(Exception):
    """A line says no matter; `field` is what it is about, the text one sentence."""

    def __init__(self, code: str, field: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.field = field
