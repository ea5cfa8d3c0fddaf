"""What the types of ids and codes mean: the text below each of them in the published language."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, NewType, get_args

from shared.contracts import base


def meaning(annotation: Any) -> str | None:
    """What an id or code of this type means; None where its type says nothing of it."""
    if isinstance(annotation, NewType):
        return _texts().get(str(annotation.__name__))
    return next(filter(None, map(meaning, get_args(annotation))), None)


@cache
def _texts() -> Mapping[str, str]:
    body = ast.parse(inspect.getsource(base)).body
    return {
        named.targets[0].id: inspect.cleandoc(text.value.value)
        for named, text in pairwise(body)
        if isinstance(named, ast.Assign)
        and isinstance(named.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
