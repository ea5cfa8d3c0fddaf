"""Every mistake in the files of a folder of towns, each with its line and what to write instead."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from deploy.yaml_lines import At, Lines, NotYaml
from shared.access import KeysFile
from shared.profile import AREA, CODE, Misplaced, PartnersFile, Profile, UnitsFile
from shared.town import Misfit, Towns, load_towns

_MODELS: Final[dict[str, type[BaseModel]]] = {
    "profile-*.yaml": Profile,
    "units.yaml": UnitsFile,
    "partners.yaml": PartnersFile,
    "keys.yaml": KeysFile,
}
_FORMS: Final = {
    CODE: "a code is of lower-case letters, digits and hyphens, such as fire-safety",
    AREA: "an area is a path of such codes, such as town/community/grid",
}


@dataclass(frozen=True, order=True)
class Mistake:
    """`says` is one sentence; `line` counts from 1."""

    file: Path
    line: int
    says: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.says}"


def check(folder: Path) -> tuple[Towns | None, list[Mistake]]:
    """The towns below `folder`, and what is wrong with their files; towns only when nothing is.
    Where each file reads by itself, they are held against each other. Raises OSError."""
    found = sorted(mistake for file, model in _files(folder) for mistake in _read(file, model))
    if found:
        return None, found
    try:
        return load_towns(folder), []
    except Misfit as misfit:
        return None, [Mistake(misfit.file, Lines(misfit.file).of(misfit.at), misfit.says)]
    except ValueError as wrong:
        return None, [Mistake(folder, 1, str(wrong))]


def _files(folder: Path) -> Iterator[tuple[Path, type[BaseModel] | None]]:
    """The files of each town with what they must be; a town is a folder with a profile."""
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted([*place.glob("*.yaml"), *place.glob("*.yml")])
        if not any(fnmatch(file.name, "profile-*.yaml") for file in files):
            continue
        for file in files:
            yield file, next((m for form, m in _MODELS.items() if fnmatch(file.name, form)), None)
        if not (place / "units.yaml").exists():
            yield place / "units.yaml", UnitsFile


def _read(file: Path, model: type[BaseModel] | None) -> Iterator[Mistake]:
    if model is None:
        yield Mistake(file, 1, f"no service reads a file of this name; known are {_names()}")
        return
    try:
        lines = Lines(file)
    except NotYaml as wrong:
        yield Mistake(file, wrong.line, f"this is no YAML: {wrong}")
        return
    except FileNotFoundError:
        yield Mistake(file, 1, "the file is missing; a town without units has `units: []`")
        return
    for line, name in lines.twice():
        yield Mistake(file, line, f"{name} is said twice here; only the last one would count")
    try:
        model.model_validate(lines.said)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        for error in errors:
            if any(_within(other, error) for other in errors):
                continue  # it only follows from the other
            at = _place(error)
            yield Mistake(file, lines.of(at), _says(error, at, model))


def _within(error: Any, other: Any) -> bool:
    """Whether an error lies deeper in what the other is about."""
    depth = len(other["loc"])
    return len(error["loc"]) > depth and error["loc"][:depth] == other["loc"]


def _place(error: Any) -> At:
    """Where it is; a rule about the whole file says itself where."""
    cause = error.get("ctx", {}).get("error")
    at = [step for step in error["loc"] if step != "[key]"]
    return [*at, *cause.at] if isinstance(cause, Misplaced) else at


def _says(error: Any, at: At, model: type[BaseModel]) -> str:
    where = ".".join(map(str, at))
    match error["type"]:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            near = get_close_matches(str(at[-1]), _fields(model), n=1)
            return f"{where} is not known" + (f"; did you mean {near[0]}?" if near else "")
        case "string_pattern_mismatch" if error["ctx"]["pattern"] in _FORMS:
            return f"{where}: {error['input']!r} will not do: {_FORMS[error['ctx']['pattern']]}"
        case "value_error":
            return f"{where}: {error['ctx']['error']}" if where else str(error["ctx"]["error"])
    said = error["msg"][0].lower() + error["msg"][1:]
    return f"{where}: {said}; it says {error['input']!r}" if where else said


def _fields(model: type[BaseModel]) -> list[str]:
    """All names of fields in a model and in those within it."""
    said = model.model_json_schema()
    inner = said.get("$defs", {}).values()
    return sorted({name for each in (said, *inner) for name in each.get("properties", {})})


def _names() -> str:
    return ", ".join(_MODELS)
