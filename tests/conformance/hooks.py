"""Checks of our own: what fits the schema is never refused for its form, and the one 503 there is
says that a position has not arrived."""

import schemathesis

OF_FORM = {"invalid-request", "unreadable-body"}


@schemathesis.check
def form_is_not_refused(ctx, response, case) -> None:  # type: ignore[no-untyped-def]  # theirs
    """A 422 to data that fits the schema names what the town or its rules do not know."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in (400, 422):
        assert response.json()["code"] not in OF_FORM, response.text


@schemathesis.check
def only_a_position_is_waited_for(ctx, response, case) -> None:  # type: ignore[no-untyped-def]
    """503 is for who asked to wait for a position that did not come."""
    if response.status_code == 503:
        assert response.json()["code"] == "not-yet", response.text
        assert "at_least" in (case.query or {}), response.text
