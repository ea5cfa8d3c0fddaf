"""The contract as AsyncAPI 3, as a partner or a reader sees it, and as a JSON Schema per type."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploy.contract.headers import JSON
from deploy.contract.messages import ANSWER, OPERATIONS, inbound_name, messages_into
from deploy.contract.schemas import EVENTS, alone, sent, taken
from deploy.topics import Topic, topics_of
from shared.contracts.answers import EventAnswer, answers_topic, inbound_topic
from shared.contracts.base import PartnerId
from shared.contracts.recorded import schema_name
from shared.contracts.registry import FACTS
from shared.kafka import FACTS as FACTS_TOPIC
from shared.profile import Verb

Schema = dict[str, Any]

VERSION: Final = "1.0.0"
"""Of the contract. It grows with what may be said; nothing that was released is ever taken back."""

_ABOUT: Final = """\
How other systems publish to wishgrid on Kafka, how they are answered, and what facts they may read.

The application described here is yours: *send* is what you publish, *receive* what you read. All
records are CloudEvents 1.0. We publish in binary mode (attributes are headers `ce_…`, the value is
the data as JSON) and read binary and structured mode. What is published here only ever grows: read
past fields, types and codes that you do not know. Facts of households under care have a topic of
their own and are not part of this contract."""


def asyncapi() -> Schema:
    """The whole document, with every schema and an example of every message."""
    shared: dict[str, Schema] = {}
    messages = dict(messages_into(shared))
    return {
        "asyncapi": "3.0.0",
        "id": "urn:wishgrid:contract",
        "info": {
            "title": "wishgrid on Kafka",
            "version": VERSION,
            "description": _ABOUT,
            "contact": {"name": "whoever runs your installation"},
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        },
        "defaultContentType": JSON,
        "servers": _SERVERS,
        "channels": _channels(messages),
        "operations": _operations(),
        "components": {
            "messages": messages,
            "schemas": shared,
            "securitySchemes": {
                "scram": {
                    "type": "scramSha512",
                    "description": "A user and a password that the operator gives you. It may "
                    "write your inbound topic and read your answers, and nothing else.",
                }
            },
        },
    }


def json_schemas() -> Iterator[tuple[str, Schema]]:
    """By type, without `wishgrid.`, the schema of its data; a fact's `$id` is its
    `ce_dataschema`. A partner's event has `inbound.` before its type."""
    for verb in EVENTS:
        name = inbound_name(verb)
        yield name, alone(taken(verb), schema_name(name))
    yield ANSWER, alone(sent(EventAnswer), schema_name(ANSWER))
    for tag, fact in FACTS.items():
        yield tag, alone(sent(fact), schema_name(tag))


_TAGS: Final = {
    "partner": "what partners send and are answered",
    "reader": "what readers of the facts find",
}

_SERVERS: Final[Schema] = {
    "guarded": {
        "host": "{servers}",
        "protocol": "kafka-secure",
        "description": "Kafka as an operator runs it: SASL/SCRAM-SHA-512.",
        "variables": {"servers": {"description": "bootstrap servers, host:port"}},
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
    },
    "local": {
        "host": "{servers}",
        "protocol": "kafka",
        "description": "Kafka on a developer's machine, which asks nobody who they are.",
        "variables": {"servers": {"description": "bootstrap servers, host:port"}},
    },
}


def _channels(messages: Mapping[str, Schema]) -> Schema:
    partner = PartnerId("{partner}")
    topics = {topic.name: topic for topic in topics_of([partner])}
    inbound = [name for name in messages if name.startswith("inbound.")]
    facts = list(FACTS)
    whose = {"partner": {"description": "Your name in `partners.yaml`.", "examples": ["my-system"]}}
    return {
        "inbound": {
            **_channel(topics[inbound_topic(partner)], inbound),
            "title": "What you publish",
            "description": "Only you may write here: the topic says who speaks. Records are your "
            "own plaintext; they stay for 3 days, also after an erasure.",
            "parameters": whose,
        },
        "answers": {
            **_channel(topics[answers_topic(partner)], [ANSWER]),
            "title": "What you are answered",
            "description": "Only you may read here. Answers are kept for 30 days.",
            "parameters": whose,
        },
        "facts": {
            **_channel(topics[FACTS_TOPIC], facts),
            "title": "What became true",
            "description": "Every fact, for ever. Free text in it is sealed: who may see it asks "
            "the read API.",
        },
    }


def _channel(topic: Topic, messages: list[str]) -> Schema:
    days = topic.configs()["retention.ms"]
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup_policy],
                    "retention.ms": int(days),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations() -> Schema:
    return {
        **{operation: _sending(verb, text) for verb, (operation, text) in OPERATIONS.items()},
        "readAnswers": _receiving("answers", [ANSWER], "Read what became of what you sent."),
        "readFacts": _receiving("facts", list(FACTS), "Read what became true."),
    }


def _sending(verb: Verb, text: str) -> Schema:
    names = (inbound_name(verb), inbound_name(verb, structured=True))
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/inbound"},
        "description": text,
        "messages": [{"$ref": f"#/channels/inbound/messages/{name}"} for name in names],
        "reply": {
            "channel": {"$ref": "#/channels/answers"},
            "messages": [{"$ref": f"#/channels/answers/messages/{ANSWER}"}],
        },
    }


def _receiving(channel: str, names: list[str], text: str) -> Schema:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "description": text,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }
