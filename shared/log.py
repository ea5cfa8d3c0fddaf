"""One JSON line per event on standard output, from us and from the libraries alike."""

import logging
import sys
from collections.abc import MutableMapping
from time import monotonic
from typing import Any

import orjson
import structlog
from structlog.contextvars import merge_contextvars

_WITHOUT_LOCALS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""Local variables hold what residents wrote; a log holds ids only."""


def configure(service: str, instance: str, level: str = "info") -> None:
    """Set up structlog and the standard library's logging for this process."""

    def name(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**event, "service": service, "instance": instance}

    shared: list[Any] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_WITHOUT_LOCALS),
        name,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_dump),
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    for library in ("uvicorn", "uvicorn.error", "uvicorn.access", "faststream"):
        logger = logging.getLogger(library)
        logger.handlers, logger.propagate = [], True
    # Their chatter at INFO (one line per request, per rebalance step) says less than our own.
    for library in ("uvicorn.access", "aiokafka", "faststream", "pymongo"):
        logging.getLogger(library).setLevel(logging.WARNING)
    handler.addFilter(Seldom("aiokafka"))


class Seldom(logging.Filter):
    """Lets each message of a library through once in ten seconds: while Kafka is away, aiokafka
    says so hundreds of times a second."""

    def __init__(self, library: str, seconds: float = 10.0) -> None:
        super().__init__()
        self._library = library
        self._seconds = seconds
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] != self._library:
            return True
        key, now = (record.name, str(record.msg)), monotonic()
        if now - self._said.get(key, float("-inf")) < self._seconds:
            return False
        self._said[key] = now
        return True


def _dump(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
