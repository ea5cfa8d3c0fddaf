"""Examples for all that an OpenAPI document names: made of those its fields have, whole and valid.

An example is part of the contract: clients are tried with it. So each fits its schema, and one of
a body is taken by the service as it is.
"""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

_STORY: Final = "5b79bcd9-8dc6-5e8a-9c08-9a04390b9571"
_AT: Final = "2026-03-02T08:00:00.000Z"
_NAMED: Final[Mapping[str, Any]] = {
    "story": _STORY,
    "at_least": f"wish-{_STORY}@1",
    "position": f"wish-{_STORY}@1",
    "idempotency-key": "5f0c7a1e-order-17",
    "if-match": "3",
    "if-none-match": '"9ae16a3b2f90404f80c5a1b2d3e4f506"',
    "last-event-id": "g1.1772438400.1.1",
    "from": "2026-03-01",
    "to": "2026-03-31",
    "first": "2026-03-01",
    "last": "2026-03-31",
    "day": "2026-03-02",
    "after": "eyJzb3J0IjoiLXN1Ym1pdHRlZCJ9",
    "next": "eyJzb3J0IjoiLXN1Ym1pdHRlZCJ9",
    "correlation": "0af7651916cd43dd8448eb211c80319c",
    "by": "unit:sweeper-7",
    "submitted_by": "officer:li",
    "id": f"case-{_STORY}@4",
    "type": "unit-reported.v1",
    "profile": "1.3f2a9c10",
    "time_zone": "Asia/Shanghai",
    "versions": {"wish": 1, "case": 4},
    "details": {"unit": "sanitation-station"},
    "texts": {"note": "已到现场，正在疏通。"},
    "title": "下水道堵了",
    "words": "3号楼下水道堵了，污水流到路上。",
    "name": "西街社区",
    "rating_words": "很快，谢谢。",
    "phone": "13800000000",
    "address": "3号楼2单元",
    "assignment": f"case-{_STORY}@3",
    "level": "grid",
    "level_name": "网格",
    "satisfaction": 5,
    "reason": "rated",
    "declined": "in-court",
    "referred": "housing-office",
    "causation": f"wish-{_STORY}@1",
    "source_ref": "A-2026-017",
    "town": "t3",
    "code": "appeal",
    "invented": "fast_within_hours",
    "remarks": "fast is resolved within fast_within_hours of submission",
    "cases": "/v1/cases?area=t3%2Fwest&number=open",
    "detail": "the town has no area 't3/nowhere'",
    "field": "area",
}


class Examples:
    """Makes examples from the schemas of one document; `known` is what the town calls things."""

    def __init__(self, schemas: Mapping[str, Schema], known: Mapping[str, str]) -> None:
        self._schemas = schemas
        self._named = {**_NAMED, **known}

    def of(self, said: Schema, name: str = "", within: tuple[str, ...] = ()) -> Any:
        """Of a schema; `name` is the field it is said of, `within` the models around it."""
        if "$ref" in said:
            model = said["$ref"].rpartition("/")[2]
            return self.of(self._schemas[model], name, (*within, model))
        for given in ([said.get("const")], said.get("enum"), said.get("examples")):
            if given and given[0] is not None:
                return given[0]
        for choice in said.get("anyOf", ()):
            if choice != {"type": "null"}:
                return self.of(choice, name, within)
        if name in self._named and said.get("type") != "array":
            return self._named[name]
        return self._by_type(said, name, within)

    def body(self, said: Schema) -> Any:
        """Of a body: what must be said, and what may be wherever its field has an example."""
        body = self._schemas[said["$ref"].rpartition("/")[2]]
        return {
            name: self.of(field, name)
            for name, field in body["properties"].items()
            if name in body.get("required", ()) or field.get("examples", [None]) != [None]
        }

    def _by_type(self, said: Schema, name: str, within: tuple[str, ...]) -> Any:
        match said.get("type"):
            case "object" if "properties" in said:
                fields = said["properties"].items()
                return {field: self.of(each, field, within) for field, each in fields}
            case "object":
                (key, *_) = said.get("propertyNames", {}).get("enum", ["case"])
                return {key: self.of(said["additionalProperties"], name, within)}
            case "array":
                inner: Schema = said["items"]
                around = inner.get("$ref", "").rpartition("/")[2] in within  # a tree has an end
                return [] if around else [self.of(inner, name, within)]
            case "integer" | "number":
                return said.get("default") or said.get("minimum") or 1
            case "boolean":
                return bool(said.get("default", False))
            case "string" if said.get("format") == "date-time":
                return _AT
        return name.replace("_", " ")
