"""The OpenAPI document as a client is to read it: problems, credentials and roles said once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI

from shared.codes import Code, codes_of
from shared.examples import Examples
from shared.problems import MEDIA_TYPE, TITLES, Problem

_SAID: Final = (400, 401, 403, 404, 409, 413, 422, 503)
"""How any request may end beside its answer."""

Schema = dict[str, Any]
Roles = Callable[[str, str], list[str]]


def describe(app: FastAPI, roles: Roles, examples: Mapping[str, str]) -> None:
    """Make `app` describe itself so; `roles(path, method)` says who may call an operation,
    `examples` what the town calls the things that fields of these names take."""
    plain = app.openapi

    def openapi() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plain(), roles, examples)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _completed(schema: Schema, roles: Roles, examples: Mapping[str, str]) -> Schema:
    components: Schema = schema.setdefault("components", {})
    schemas: Schema = components.setdefault("schemas", {})
    for model in schemas.values():
        for name, field in model.get("properties", {}).items():
            placeholder = field.get("examples", [name])[0]
            if name in examples or placeholder in examples:
                field["examples"] = [examples.get(name) or examples[placeholder]]
    schemas["Problem"] = Problem.model_json_schema()
    if codes := codes_of(schema["info"]["title"].rpartition(" ")[2]):
        schemas["Problem"]["properties"]["code"]["enum"] = [each.code for each in codes]
        schema["info"]["x-codes"] = [
            {"code": code, "statuses": statuses, "meaning": says}
            for code, statuses, _, says in codes
        ]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["responses"] = {f"Problem{status}": _problem(status, codes) for status in _SAID}
    components["securitySchemes"] = {
        "person": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "system": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    schema["security"] = [{"person": []}, {"system": []}]
    for path, method, operation in _operations(schema):
        operation["x-roles"] = roles(path, method)
        if method == "GET":
            _conditional(operation)
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _never_null(parameter["schema"])
        for status in _SAID:
            operation["responses"][str(status)] = {
                "$ref": f"#/components/responses/Problem{status}"
            }
        _exemplify(operation, Examples(schemas, examples))
    return schema


def _problem(status: int, codes: Sequence[Code]) -> Schema:
    """How an answer with this status looks, with the first code that comes with it."""
    code, says = next(((c.code, c.says) for c in codes if status in c.statuses), ("refused", ""))
    example = Problem(
        type=f"urn:wishgrid:problem:{code}",
        title=TITLES[status],
        status=status,
        code=code,
        detail=says,
        field="area" if status == 422 else None,
    )
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": example.model_dump(),
    }
    return {"description": TITLES[status], "content": {MEDIA_TYPE: content}}


def _exemplify(operation: Schema, examples: Examples) -> None:
    """An example for every parameter, body and answer."""
    for parameter in operation.get("parameters", ()):
        parameter["example"] = examples.of(parameter["schema"], parameter["name"])
    if body := operation.get("requestBody"):
        content = body["content"]["application/json"]
        content["example"] = examples.body(content["schema"])
    for answer in operation["responses"].values():
        for content in answer.get("content", {}).values():
            content["example"] = examples.of(content["schema"])


def _conditional(operation: Schema) -> None:
    """What `shared/conditional.py` adds to an answer in JSON; an event is one of those named."""
    content = operation["responses"]["200"]["content"]
    for stream in content.keys() - {"application/json"}:
        content[stream]["schema"].pop("type")
    if "application/json" not in content:
        return
    tag = {"description": "of this very answer", "schema": {"type": "string"}}
    operation["responses"]["200"]["headers"] = {"ETag": tag}
    operation["responses"]["304"] = {
        "description": "What you have, by `If-None-Match`, still holds",
        "headers": {"ETag": tag},
    }
    known = {
        "name": "if-none-match",
        "in": "header",
        "required": False,
        "description": "`ETag` of an earlier answer: 304 if nothing has changed",
        "schema": {"type": "string"},
    }
    operation.setdefault("parameters", []).append(known)


def _never_null(said: Schema) -> Schema:
    """A parameter may be absent; nothing in a URL or a header is null."""
    kinds = [kind for kind in said.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return said
    return {**kinds[0], **{name: word for name, word in said.items() if name != "anyOf"}}


def _operations(schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation
