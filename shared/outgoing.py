"""What a recorded fact becomes on Kafka: itself, and the answer that it is to a partner."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC

from shared.contracts.answers import answer_in, answer_to_wire, answers_topic
from shared.contracts.recorded import Recorded, kind_of, to_wire

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One Kafka record to be. `optional`: it is let go where its topic is missing."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    optional: bool = False

    @property
    def name(self) -> str:
        """Its ce_id."""
        return next(value for name, value in self.headers if name == "ce_id").decode()


Outlet = Callable[[Recorded], Iterator[Outgoing]]
"""The records of a fact, the same whenever it is asked, in the order they are sent."""


def facts_and_answers(facts: str, topic_prefix: str) -> Outlet:
    """Every fact goes to the topic `facts`; one that a partner asked for also tells it so."""

    def outgoing(recorded: Recorded) -> Iterator[Outgoing]:
        yield Outgoing(facts, *to_wire(recorded))
        answered = answer_in(recorded)
        if answered is None:
            return
        request, answer = answered
        when = recorded.recorded.astimezone(UTC).isoformat(timespec="milliseconds")
        wire = answer_to_wire(f"answer-{recorded.id}", kind_of(recorded.stream), answer, when)
        yield Outgoing(topic_prefix + answers_topic(request.partner), *wire, optional=True)

    return outgoing
