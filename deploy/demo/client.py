"""What a front end of an installation does: carry a token and a position, and no retries."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import httpx

from deploy.local.installation import Installation
from shared.access import Role


class Refusal(Exception):
    """A service said no; the text is its problem details, `code` what they name."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code} {answer.text}")
        self.code = str(answer.json().get("code"))


class Client:
    """Somebody with a token. Requests go round the instances of a service in turn."""

    def __init__(
        self,
        place: Installation,
        role: Role,
        sub: str,
        town: str,
        areas: Sequence[str] = (),
        unit: str | None = None,
    ) -> None:
        token = place.secrets.token(role, sub, town, areas, unit)
        self._http = httpx.Client(timeout=30, headers={"Authorization": f"Bearer {token}"})
        self._place = place
        self._turn = 0

    def submit(self, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Submit a wish; the answer."""
        return self.post("intake", "/v1/wishes", body, key=key)

    def do(
        self, verb: str, story: str, body: dict[str, Any], at_least: str, key: str | None = None
    ) -> dict[str, Any]:
        """A command on a case or wish, after `at_least`; the answer."""
        if verb == "rate":
            return self.post("intake", f"/v1/wishes/{story}/rate", body, at_least, key)
        return self.post("dispatch", f"/v1/cases/{story}/{verb}", body, at_least, key)

    def post(
        self,
        service: str,
        path: str,
        body: dict[str, Any],
        at_least: str | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """A command. Raises Refusal."""
        headers = {} if key is None else {"Idempotency-Key": key}
        params = {} if at_least is None else {"at_least": at_least}
        url = self._url(service) + path
        answer: dict[str, Any] = self._json(
            self._http.post(url, json=body, params=params, headers=headers)
        )
        return answer

    def get(self, path: str, **params: str | int) -> Any:
        """A query to the read API. Raises Refusal."""
        return self._json(self._http.get(self._url("projections") + path, params=params))

    def rows(self, link: str, limit: int = 200) -> list[dict[str, Any]]:
        """The whole list behind a link, page by page."""
        path, _, query = link.partition("?")
        asked: dict[str, str | int] = {**dict(parse_qsl(query)), "limit": limit}
        page = self.get(path, **asked)
        rows: list[dict[str, Any]] = page["items"]
        while page.get("next"):
            page = self.get(path, **asked, after=page["next"])
            rows += page["items"]
        return rows

    def cases(self, limit: int = 5) -> list[dict[str, Any]]:
        """The whole case list."""
        return self.rows("/v1/cases", limit)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _url(self, service: str) -> str:
        self._turn += 1
        return self._place.url(service, self._turn)

    def _json(self, answer: httpx.Response) -> Any:
        if answer.is_error:
            raise Refusal(answer)
        return answer.json()
