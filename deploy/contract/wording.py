"""Schemas in words: what a field takes, and within which limits."""

from typing import Any, Final

Schema = dict[str, Any]

_FORMS: Final = {
    r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$": "lower-case letters, digits and hyphens, up to 64",
    r"^[a-z0-9-]{1,32}(/[a-z0-9-]{1,32}){0,7}$": "a path of codes",
    r"^[A-Za-z0-9._:/-]{1,64}$": "letters, digits and ._:/- , up to 64",
    r"^[\x21-\x7e]{1,200}$": "printable ASCII without blanks, up to 200",
    r"^(officer|unit):[A-Za-z0-9._-]{1,64}$": "officer:… or unit:…",
    r"^([+ ()-]*[0-9]){5,30}[+ ()-]*$": "5 to 30 digits, with + ( ) - and blanks",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$": "a UUID",
    r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$": "version-trace-parent-flags",
    r"^[a-z]+-[^@]+@[1-9][0-9]*$": "stream@version",
    r"^[1-9][0-9]*$": "a number from 1",
    r"^/wishgrid/[a-z]+$": "/wishgrid/…",
}
"""What the patterns mean; one that is not here is shown as it is."""


def kind_in_words(schema: Schema) -> str:
    """Text, number, instant, …: what the field takes."""
    schema = _not_null(schema)
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return str(schema["const"]) if schema["const"] is not True else "true, or absent"
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("format") == "date-time":
        return "instant (RFC 3339)"
    names = {"integer": "whole number", "boolean": "true or false", "string": "text"}
    return names.get(schema.get("type", ""), str(schema.get("type", "")))


def limits_in_words(schema: Schema) -> str:
    """How long, how large, of what form."""
    schema = _not_null(schema)
    said: list[str] = []
    if "maxLength" in schema and "pattern" not in schema:
        said.append(f"up to {schema['maxLength']} characters")
    elif schema.get("pattern") == r"\S":
        said.append(f"up to {schema['maxLength']} characters, not only blanks")
    elif "pattern" in schema:
        said.append(_FORMS.get(schema["pattern"], str(schema["pattern"])))
    if "minimum" in schema and "maximum" in schema:
        said.append(f"{schema['minimum']} to {schema['maximum']}")
    elif "exclusiveMinimum" in schema:
        said.append(f"above {schema['exclusiveMinimum']}")
    elif "minimum" in schema:
        said.append(f"at least {schema['minimum']}")
    return "; ".join(said)


def _not_null(schema: Schema) -> Schema:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return {**schema, **kinds[0]} if len(kinds) == 1 else schema
