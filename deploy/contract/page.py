"""The contract as one page that needs nothing else: no script, no font, no host."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from deploy.contract.document import asyncapi
from deploy.contract.examples import event_example
from deploy.contract.messages import ANSWER, inbound_name
from deploy.contract.schemas import EVENTS
from deploy.contract.wording import kind_in_words, limits_in_words
from shared.contracts.answer_codes import ANSWER_CODES
from shared.contracts.registry import FACTS
from shared.profile import Verb

Schema = dict[str, Any]

HERE: Final = Path(__file__).parent
PUBLISHERS: Final = {
    "Python": "publish.py",
    "Java": "Publish.java",
    "Node": "publish.mjs",
    "Shell": "publish.sh",
}


@cache
def contract_page() -> str:
    """The page, as a partner's developer reads it."""
    document = asyncapi()
    messages = document["components"]["messages"]
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        code=_code, json=_json, kind=kind_in_words, limits=limits_in_words, fields=_fields
    )
    return environment.get_template("page.html").render(
        document=document,
        channels=document["channels"],
        schemas=document["components"]["schemas"],
        events={verb: messages[inbound_name(verb)] for verb in EVENTS},
        least=_least("wish-submitted", document),
        structured=messages[inbound_name("wish-submitted", structured=True)],
        inbound={verb: inbound_name(verb) for verb in EVENTS},
        answer=messages[ANSWER],
        answer_name=ANSWER,
        facts={tag: messages[tag] for tag in FACTS},
        codes=ANSWER_CODES,
        publishers={name: _publisher(file) for name, file in PUBLISHERS.items()},
    )


def _least(verb: Verb, document: Schema) -> Schema:
    """The shortest event of a kind."""
    required = document["components"]["schemas"][inbound_name(verb)]["required"]
    return {name: event_example(verb).payload[name] for name in required}


def _publisher(name: str) -> str:
    return (HERE / "publishers" / name).read_text(encoding="utf-8")


def _fields(schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    """Name, schema and whether it must be there, of each field; first those that must."""
    required = schema.get("required", ())
    fields = [(name, field, name in required) for name, field in schema["properties"].items()]
    yield from sorted(fields, key=lambda field: not field[2])


def _code(text: str) -> Markup:
    """Text of a docstring, with what stands in backquotes as code."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part)
        for n, part in enumerate(parts)
    )


def _json(said: Any) -> str:
    return json.dumps(said, ensure_ascii=False, indent=2)
