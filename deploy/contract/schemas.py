"""Schemas of what is on the topics, from the models that write and read it.

What we send says nothing as null and may have fields of a later build; what we take in is as
strict as the gate.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, get_args

from pydantic import BaseModel

from deploy.contract.glossary import meaning
from services.intake.partner_events import ProgressEvent, ReportEvent, WishEvent
from shared.profile import Verb

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_LOCAL: Final = "#/$defs/"
_SHARED: Final = "#/components/schemas/"

EVENTS: Final[Mapping[Verb, type[BaseModel]]] = {
    "wish-submitted": WishEvent,
    "hazard-raised": WishEvent,
    "unit-reported": ReportEvent,
    "progress-reported": ProgressEvent,
}
"""What a partner's event says, by what its type asks for."""


def sent(model: type[BaseModel]) -> Schema:
    """The schema of what we publish, with its parts in `$defs`."""
    schema = model.model_json_schema(mode="serialization")
    _explain(schema, model)
    for part in _objects(schema):
        part.pop("additionalProperties", None)
        required = set(part.get("required", ()))
        for name, field in part["properties"].items():
            part["properties"][name] = field = _said(field)
            if "const" in field and field.pop("default", None) == field["const"]:
                required.add(name)
            field.pop("default", None)
        part["required"] = [name for name in part["properties"] if name in required]
    return schema


def taken(verb: Verb) -> Schema:
    """The schema of what a partner's event may say. What the gate fills in may be absent: a
    matter's channel is the partner's own, a hazard's kind is never said."""
    model = EVENTS[verb]
    schema = model.model_json_schema(mode="validation")
    _explain(schema, model)
    for part in schema.get("$defs", {}).values():
        for field in part["properties"].values():
            field.pop("examples", None)  # they are those of HTTP
    if "channel" in schema["properties"]:
        schema["required"].remove("channel")
        schema["properties"]["channel"]["description"] += "; yours, if absent"
    if verb == "hazard-raised":
        del schema["properties"]["kind"]
        schema["required"].remove("kind")
    if issubclass(model, ReportEvent):
        schema["oneOf"] = [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("ref", "story")
        ]
    return schema


def alone(schema: Schema, name: str) -> Schema:
    """The schema as a file of its own; `name` is its `$id`."""
    return {"$schema": DIALECT, "$id": name, **schema}


def shared_parts(schema: Schema, into: dict[str, Schema]) -> Schema:
    """The schema with its parts moved `into` the components that all messages share."""
    text = json.dumps(schema).replace(_LOCAL, _SHARED)
    moved: Schema = json.loads(text)
    into.update(moved.pop("$defs", {}))
    return moved


def illustrated(schema: Schema, example: Mapping[str, Any]) -> Schema:
    """The schema with what each field says in the example."""
    shown = deepcopy(schema)
    for name, field in shown["properties"].items():
        field.pop("examples", None)
        if name in example and not field.keys() & {"const", "$ref"}:
            field["examples"] = [example[name]]
    return shown


def _explain(schema: Schema, model: type[BaseModel]) -> None:
    """Take pydantic's titles off, and let each type of id say what it means."""
    del schema["title"]
    for part, of in _with_models(schema, model):
        for name, field in part["properties"].items():
            field.pop("title", None)
            text = meaning(of.model_fields[name].annotation)
            if text is not None:
                field.setdefault("description", text)


def _with_models(
    schema: Schema, model: type[BaseModel]
) -> Iterator[tuple[Schema, type[BaseModel]]]:
    yield schema, model
    models = {each.__name__: each for each in _parts(model)}
    for name, part in schema.get("$defs", {}).items():
        yield part, models[name]


def _parts(kind: Any) -> Iterator[type[BaseModel]]:
    """The models that a model, or the type of a field, is made of."""
    inner = get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        inner = tuple(field.annotation for field in kind.model_fields.values())
        yield kind
    for part in inner:
        yield from _parts(part)


def _objects(schema: Schema) -> Iterator[Schema]:
    yield schema
    yield from schema.get("$defs", {}).values()


def _said(field: Schema) -> Schema:
    """A field that is absent where it says nothing, never null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return field
    return {**kinds[0], **{name: word for name, word in field.items() if name != "anyOf"}}
