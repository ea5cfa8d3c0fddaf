"""What nobody means well by: values, fields and bodies that no endpoint may stumble over."""

import json
import math
from typing import Any, Final

VALUES: Final[dict[str, Any]] = {
    "operator": {"$gt": ""},
    "operator-none": {"$ne": None},
    "operator-code": {"$where": "sleep(1000)"},
    "operators": [{"$in": ["a"]}],
    "dotted-key": {"a.b": 1},
    "dollar-string": "$where",
    "dotted-string": "a.b.c",
    "none": None,
    "number": 7,
    "big-number": 10**40,
    "not-a-number": math.nan,
    "infinite": math.inf,
    "true": True,
    "list": [],
    "object": {},
    "lone-surrogate": "\ud800",
    "surrogate-within": "水\udfff管",
    "nul": "\x00",
    "nul-within": "水\x00管",
    "empty": "",
    "blank": " \t\n\u3000",
    "too-long": "x" * 4001,
    "too-long-han": "长" * 4001,
    "very-long": "x" * 200_000,
    "right-to-left": "\u202e\u2066",
    "joined": "👩‍👩‍👧",
    "path": "../../etc/passwd",
    "newline": "resolved\n",
    "full-width": "ｒｅｓｏｌｖｅｄ",
}

FIELDS: Final = ("$set", "a.b", "", "\ud800", "\x00", "__proto__", "x" * 1000, "_id", "by")
"""Names of fields that no command has."""

BODIES: Final[dict[str, bytes]] = {
    "half": b"{",
    "not-json": b"unit=drains",
    "not-utf-8": b'{"note": "\xff\xfe"}',
    "list": b"[]",
    "text": b'"resolved"',
    "number": b"7",
    "deep-list": b"[" * 100_000,
    "deep-object": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "long-number": b'{"occurred": ' + b"9" * 10_000 + b"}",
    "twice": b'{"occurred": null, "occurred": {"$gt": ""}}',
}
"""Bodies that are no command, in bytes."""

TOO_LARGE: Final = b'{"note": "' + b"x" * (30 * 1024 * 1024) + b'"}'

JSON: Final = {"Content-Type": "application/json"}


def as_json(body: Any) -> bytes:
    """As whoever wants to break something would write it: surrogates and all."""
    return json.dumps(body).encode()
