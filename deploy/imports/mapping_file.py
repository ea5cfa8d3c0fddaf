"""Reads a mapping; what is wrong in it is said in one sentence with file, line and field."""

from pathlib import Path

from pydantic import ValidationError

from deploy.imports.errors import FixFirst
from deploy.imports.mapping import Mapping
from deploy.yaml_lines import Lines, NotYaml


def read_mapping(file: Path) -> Mapping:
    """Raises FixFirst: one sentence with file, line and field."""
    try:
        lines = Lines(file)
    except OSError as wrong:
        raise FixFirst(f"{file} cannot be read: {wrong.strerror}") from wrong
    except NotYaml as wrong:
        raise FixFirst(f"{file}, line {wrong.line} is not YAML: {wrong}") from wrong
    for line, name in lines.twice():
        raise FixFirst(f"{file}, line {line}, {name}: it is said twice; only the last would count")
    try:
        return Mapping.model_validate(lines.said)
    except ValidationError as wrong:
        raise FixFirst(_first(file, lines, wrong)) from wrong


def _first(file: Path, lines: Lines, wrong: ValidationError) -> str:
    first, *more = wrong.errors(include_url=False)
    place = [part for part in first["loc"] if part not in ("Flag", "bool")]
    others = f" (and {len(more)} more)" if more else ""
    field = ".".join(map(str, place)) or "the mapping"
    why = first["msg"].removeprefix("Value error, ")
    return f"{file}, line {lines.of(place)}, {field}: {why}{others}"
