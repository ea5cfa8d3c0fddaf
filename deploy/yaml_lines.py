"""A YAML file with the line of everything in it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

At = Sequence[str | int]
"""The way to a place: keys and indexes."""

_DEEPEST: Final = 50
"""So deep nothing of ours is nested; Python gives up at about three hundred."""


class NotYaml(ValueError):
    """The text is no YAML; `line` is where that shows."""

    def __init__(self, line: int, says: str) -> None:
        super().__init__(says)
        self.line = line


class Lines:
    """What a file says, and where. Raises NotYaml, or OSError."""

    def __init__(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8-sig")
            self._root = yaml.compose(text, yaml.SafeLoader)
            self.said: Any = yaml.safe_load(text)
        except RecursionError:
            raise NotYaml(1, "it is nested too deep") from None
        except UnicodeDecodeError as wrong:
            line = wrong.object[: wrong.start].count(b"\n") + 1
            raise NotYaml(line, "the file is not UTF-8") from wrong
        except yaml.MarkedYAMLError as wrong:
            mark = wrong.problem_mark or wrong.context_mark
            says = " ".join(filter(None, (wrong.context, wrong.problem)))
            raise NotYaml(mark.line + 1 if mark else 1, says) from wrong
        except (yaml.YAMLError, ValueError) as wrong:
            raise NotYaml(1, " ".join(str(wrong).split())) from wrong
        _check_depth(self._root, ())

    def of(self, at: At) -> int:
        """The line of the place, or of the last thing on the way to it that there is."""
        node, line = self._root, 1
        for step in at:
            found = _inside(node, step)
            if found is None:
                break
            line, node = found
        return line

    def twice(self) -> Iterator[tuple[int, str]]:
        """Line and name of each key that its mapping had before: YAML lets the last one win."""
        yield from _twice(self._root)


def _check_depth(node: yaml.Node | None, around: Sequence[yaml.Node]) -> None:
    """Raises NotYaml for what holds itself, by an anchor, or is nested too deep."""
    if not isinstance(node, yaml.CollectionNode):
        return
    line = node.start_mark.line + 1
    if any(node is each for each in around):
        raise NotYaml(line, "what an anchor names holds itself")
    if len(around) >= _DEEPEST:
        raise NotYaml(line, "it is nested too deep")
    for item in node.value:
        for part in item if isinstance(item, tuple) else (item,):
            _check_depth(part, (*around, node))


def _inside(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line + 1, item
    return None


def _twice(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        names = set[str]()
        for key, value in node.value:
            if key.value in names and key.value != "<<":
                yield key.start_mark.line + 1, str(key.value)
            names.add(str(key.value))
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item)
