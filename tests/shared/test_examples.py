"""Every example in an OpenAPI document fits what it is an example of."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.shared.test_policy_matrix import APPS

GIVEN = [pytest.param(app.openapi(), id=service) for service, app in APPS.items()]


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where each stands, its schema and itself; all there should be."""
    for methods in document["paths"].values():
        for operation in methods.values():
            name = operation["operationId"]
            for each in operation.get("parameters", ()):
                yield f"{name} {each['name']}", each["schema"], each.get("example")
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"{name} body", content["schema"], content.get("example")
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    yield f"{name} {status}", content["schema"], content.get("example")
    for status, answer in document["components"]["responses"].items():
        for content in answer["content"].values():
            yield status, content["schema"], content.get("example")


@pytest.mark.parametrize("document", GIVEN)
def test_everything_has_an_example_that_fits_it(document: dict[str, Any]) -> None:
    found = 0
    for where, schema, example in examples(document):
        whole = {**schema, "components": document["components"]}
        wrong = [error.message for error in Draft202012Validator(whole).iter_errors(example)]
        assert (where, example is not None, wrong) == (where, True, [])
        found += 1
    assert found > 20


@pytest.mark.parametrize("document", GIVEN)
def test_an_answer_is_shown_whole(document: dict[str, Any]) -> None:
    """Each field of an answer that is an object is in its example."""
    schemas = document["components"]["schemas"]
    for where, schema, example in examples(document):
        model = schemas.get(schema.get("$ref", "").rpartition("/")[2])
        if model is None or where.endswith("body"):
            continue
        assert (where, set(example)) == (where, set(model["properties"]))
