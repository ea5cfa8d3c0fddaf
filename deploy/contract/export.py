"""The contract as files: the document, a JSON Schema per type, and the page."""

import json
from pathlib import Path
from typing import Any, Final

from deploy.contract.document import VERSION, asyncapi, json_schemas
from deploy.contract.page import contract_page

RELEASED: Final = Path(__file__).with_name("released")
"""The contracts that programs of others were written for: `<version>.json`."""


def export(folder: Path) -> list[Path]:
    """Write all of it, over what is there; the files. Raises OSError."""
    schemas = {f"schemas/{name}.json": _text(schema) for name, schema in json_schemas()}
    said = {"asyncapi.json": _text(asyncapi()), "index.html": contract_page(), **schemas}
    files = {folder / name: text for name, text in said.items()}
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(files)


def last_released(folder: Path = RELEASED) -> Path:
    """The file of the highest version."""
    return max(folder.glob("*.json"), key=lambda file: version_of(file.stem))


def version_of(text: str = VERSION) -> tuple[int, ...]:
    """A version as numbers, to compare. Raises ValueError."""
    return tuple(int(part) for part in text.split("."))


def _text(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, indent=1) + "\n"
