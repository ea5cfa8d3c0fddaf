"""Reads a mapping; what is wrong in it is said in one sentence with file, line and field."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from deploy.imports.errors import FixFirst
from deploy.imports.mapping import Mapping


def read_mapping(file: Path) -> Mapping:
    """Raises FixFirst: one sentence with file, line and field."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        return Mapping.model_validate(yaml.safe_load(text))
    except OSError as wrong:
        raise FixFirst(f"{file} cannot be read: {wrong.strerror}") from wrong
    except UnicodeDecodeError as wrong:
        raise FixFirst(f"{file} is not UTF-8 from byte {wrong.start} on") from wrong
    except yaml.MarkedYAMLError as wrong:
        line = "" if wrong.problem_mark is None else f", line {wrong.problem_mark.line + 1}"
        raise FixFirst(f"{file}{line} is not YAML: {wrong.problem}") from wrong
    except yaml.YAMLError as wrong:
        raise FixFirst(f"{file} is not YAML: {wrong}") from wrong
    except ValidationError as wrong:
        raise FixFirst(_first(file, text, wrong)) from wrong


def _first(file: Path, text: str, wrong: ValidationError) -> str:
    first, *more = wrong.errors(include_url=False)
    place = [part for part in first["loc"] if part not in ("Flag", "bool")]
    line = _line(yaml.compose(text, Loader=yaml.SafeLoader), place)
    others = f" (and {len(more)} more)" if more else ""
    field = ".".join(map(str, place)) or "the mapping"
    why = first["msg"].removeprefix("Value error, ")
    return f"{file}, line {line}, {field}: {why}{others}"


def _line(node: Any, place: list[Any], line: int = 1) -> int:
    """Where in the file this place is, or what comes nearest above it."""
    if place and isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(place[0]):
                return _line(value, place[1:], int(key.start_mark.line) + 1)
    if place and isinstance(node, yaml.SequenceNode) and isinstance(place[0], int):
        item = node.value[place[0]]
        return _line(item, place[1:], int(item.start_mark.line) + 1)
    return line
