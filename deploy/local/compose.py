"""What deploy/docker-compose.yml says of each service: the one truth about how they are run.

Only the keys that file uses are known here, so that a typo in it fails instead of being ignored.
docker-compose.cluster.yml lies over it: mappings are merged, all else is replaced, as compose does
where no list is said twice.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

COMPOSE: Final = Path(__file__).parents[1] / "docker-compose.yml"
CLUSTER: Final = COMPOSE.with_name("docker-compose.cluster.yml")
_VARIABLE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<colon>:?)(?P<kind>[-?])(?P<rest>[^${}]*))?\}"
    r"|(?P<bad>))"
)


class Unusable(ValueError):
    """The compose file does not read; the message names the place."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Build(_Strict):
    """How the image is made; `context` is relative to the file, `dockerfile` to the context."""

    context: str
    dockerfile: str


class Healthcheck(_Strict):
    """`test` begins with CMD; durations as compose writes them (`10s`)."""

    test: tuple[str, ...]
    interval: str
    timeout: str
    retries: int
    start_period: str


class After(_Strict):
    """What must be so before a service starts."""

    condition: Literal["service_healthy", "service_completed_successfully"]


class Service(_Strict):
    """One container. `environment` and `command` are what a process without one needs too."""

    image: str
    build: Build | None = None
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    depends_on: dict[str, After] = {}
    healthcheck: Healthcheck | None = None
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    restart: Literal["no", "on-failure", "unless-stopped"]
    stop_grace_period: str | None = None
    init: bool = False
    read_only: bool = False


class Secret(_Strict):
    """A file of the host, shown to services as /run/secrets/<name>."""

    file: str


def _without_anchors(said: Any) -> Any:
    """`x-…` holds what YAML's anchors repeat elsewhere."""
    if not isinstance(said, dict):
        return said
    return {key: value for key, value in said.items() if not str(key).startswith("x-")}


class Compose(_Strict):
    """The whole file."""

    name: str
    services: dict[str, Service]
    volumes: dict[str, None]
    secrets: dict[str, Secret]

    def instance(self, service: str, n: int) -> Service:
        """The n-th instance of a service (from 1), the last one there is when n is more."""
        there = [name for name in self.services if re.fullmatch(rf"{service}-\d+", name)]
        if not there:
            raise Unusable(f"there is no service {service}-1")
        wanted = f"{service}-{n}"
        return self.services[wanted if wanted in there else max(there, key=_number)]


_File = Annotated[Compose, BeforeValidator(_without_anchors)]


class _Whole(BaseModel):
    file: _File


def read_compose(
    environment: Mapping[str, str], file: Path = COMPOSE, over: Path | None = None
) -> Compose:
    """The file, and `over` laid over it, the variables filled in from `environment`. Raises
    Unusable."""
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        if over is not None:
            said = _laid_over(said, _extended(yaml.safe_load(over.read_text("utf-8")), said))
        filled = _each_text(said, lambda text: interpolated(text, environment))
        return _Whole.model_validate({"file": filled}).file
    except yaml.YAMLError as wrong:
        raise Unusable(f"{file.name}: {wrong}") from None
    except ValidationError as wrong:
        places = "; ".join(
            f"{'.'.join(map(str, error['loc'][1:]))}: {error['msg']}" for error in wrong.errors()
        )
        raise Unusable(f"{file.name}: {places}") from None


def _extended(over: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Services that `extends` one of the base file, as what they are."""
    services = {}
    for name, service in over["services"].items():
        own = dict(service)
        if (extends := own.pop("extends", None)) is not None:
            own = _laid_over(base["services"][extends["service"]], own)
        services[name] = own
    return {**over, "services": services}


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _laid_over(below.get(key), value) for key, value in above.items()}


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """`text` with ${NAME}, ${NAME:-default} and ${NAME:?message} filled in; `$$` is a dollar.

    As in compose: without the colon an empty value counts as one. Raises Unusable for a missing
    value that is asked for with `?`, and for a dollar that begins nothing of this.
    """

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["bad"] is not None:
            raise Unusable(f"{text!r}: a dollar that begins no ${{NAME}}; write it twice")
        given = environment.get(found["name"])
        if given is not None and (given or not found["colon"]):
            return given
        if found["kind"] == "?":
            raise Unusable(f"{found['name']} is missing: {found['rest']}")
        return found["rest"] or ""

    return _VARIABLE.sub(value, text)


def _each_text(said: Any, fill: Callable[[str], str]) -> Any:
    """The same, with every text in it filled in; lists become tuples, keys stay."""
    match said:
        case str():
            return fill(said)
        case list():
            return tuple(_each_text(each, fill) for each in said)
        case dict():
            return {key: _each_text(value, fill) for key, value in said.items()}
        case _:
            return said


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
