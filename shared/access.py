"""Who is asking, and what they may do: default deny.

People carry a signed JWT (from the town's identity provider; `wishgrid token` in development),
systems an API key of which only the SHA-256 is kept. Town, areas, role and unit come from the
token or the key's entry, never from a parameter.
"""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import time
from typing import Annotated, Any, Final, Self

import jwt
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from shared.contracts.base import ActorId, AreaId, TownId, UnitId
from shared.profile import CODE, AreaText, UnitText
from shared.remembered import Remembered
from shared.sealing import InstallationKeys

ALGORITHMS: Final = ["EdDSA", "ES256", "RS256"]
AUDIENCE: Final = "wishgrid"
_STAFF_ID: Final = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
"""It is in every fact they cause, for ever, and not sealed."""

_FAR: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class Role(StrEnum):
    """What somebody is to the town."""

    RESIDENT = "resident"
    OFFICER = "officer"
    UNIT = "unit"
    COMMUNITY = "community"
    STREET = "street"
    OVERSEER = "overseer"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever sent a request.

    `id` is stable and enters command ids; a resident's is a blind index, so nothing stored
    tells the account. `areas` are the subtrees they see; `account` is set for residents only.
    `expires_at` is when the token ends, in real time; an API key does not.
    """

    id: str
    role: Role
    town: TownId
    areas: tuple[AreaId, ...] = ()
    unit: UnitId | None = None
    account: str | None = None
    expires_at: datetime | None = field(default=None, compare=False)

    @property
    def actor(self) -> ActorId:
        """Who did it, for facts. A resident's is made from the resident id instead."""
        return ActorId(self.id)

    def sees(self, area: str) -> bool:
        """Whether the area lies in one of the principal's subtrees."""
        return any(area == a or area.startswith(a + "/") for a in self.areas)


class Unauthenticated(Exception):
    """Nobody we know: no credentials, or none that hold."""


class _Claims(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sub: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    exp: float
    town: Annotated[TownId, StringConstraints(pattern=CODE)]
    role: Role
    areas: tuple[AreaText, ...] = ()
    unit: UnitText | None = None


class ApiKey(BaseModel):
    """One entry of `keys.yaml`: a system's key, by the SHA-256 of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=CODE)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    town: Annotated[TownId, StringConstraints(pattern=CODE)]
    role: Role = Role.SYSTEM
    areas: Annotated[tuple[AreaText, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _areas_of_its_town(self) -> Self:
        if any(area.partition("/")[0] != self.town for area in self.areas):
            raise ValueError(f"key {self.id} names areas of another town")
        return self


class KeysFile(BaseModel):
    """`keys.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] | None = None


class Doorkeeper:
    """Tells who is asking."""

    def __init__(
        self,
        signers: jwt.PyJWKSet,
        issuer: str,
        keys: Iterable[ApiKey],
        secrets: InstallationKeys,
        towns: Collection[TownId],
    ) -> None:
        self._signers = {key.key_id: key for key in signers.keys}
        self._issuer = issuer
        self._keys = {key.sha256: key for key in keys}
        self._secrets = secrets
        self._towns = towns
        self._met = Remembered[str, Principal]()

    def admit(self, authorization: str | None, api_key: str | None) -> Principal:
        """The principal of a request. Raises Unauthenticated."""
        if api_key is not None:
            who = self._system(api_key)
        else:
            scheme, _, token = (authorization or "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise Unauthenticated("send Authorization: Bearer <token>, or X-API-Key")
            who = self._person(token)
        if who.town not in self._towns:
            raise Unauthenticated(f"town {who.town} is not served here")
        return who

    def _system(self, api_key: str) -> Principal:
        found = self._keys.get(hashlib.sha256(api_key.encode()).hexdigest())
        if found is None:
            raise Unauthenticated("unknown API key")
        return Principal(f"{found.role}:{found.id}", found.role, found.town, found.areas)

    def _person(self, token: str) -> Principal:
        """A token that held is remembered for a minute, and never past its own end."""
        met = self._met.get(token)
        if met is not None and met.expires_at and time() < met.expires_at.timestamp():
            return met
        return self._met.put(token, self._principal(self._claims(token)))

    def _claims(self, token: str) -> _Claims:
        try:
            signer = self._signers[jwt.get_unverified_header(token).get("kid")]
            return _Claims.model_validate(
                jwt.decode(
                    token,
                    signer,  # with its key's algorithm: a token cannot choose another
                    algorithms=ALGORITHMS,
                    audience=AUDIENCE,
                    issuer=self._issuer,
                    options={"require": ["exp", "iss", "sub", "aud"]},
                )
            )
        except KeyError:
            raise Unauthenticated("the token is signed by a key we do not know") from None
        except jwt.PyJWTError as wrong:
            raise Unauthenticated(f"the token does not hold: {wrong}") from wrong
        except ValidationError as wrong:
            raise Unauthenticated(f"the token lacks claims: {_fields(wrong)}") from wrong

    def _principal(self, claims: _Claims) -> Principal:
        ends = datetime.fromtimestamp(min(claims.exp, _FAR), UTC)
        if claims.role is Role.RESIDENT:
            index = self._secrets.blind(claims.town, "account", claims.sub)
            name = f"resident:{index}"
            return Principal(name, claims.role, claims.town, account=claims.sub, expires_at=ends)
        if any(area.partition("/")[0] != claims.town for area in claims.areas):
            raise Unauthenticated("the token names areas of another town")
        if not _STAFF_ID.fullmatch(claims.sub):
            raise Unauthenticated("the sub of staff is an id of letters, digits, dots and hyphens")
        name = f"{claims.role}:{claims.sub}"
        return Principal(name, claims.role, claims.town, claims.areas, claims.unit, expires_at=ends)


def read_signers(file: Path) -> jwt.PyJWKSet:
    """The public keys (a JWKS) that tokens may be signed with. Raises ValueError."""
    try:
        return jwt.PyJWKSet.from_json(file.read_text())
    except (jwt.PyJWTError, ValueError) as wrong:
        raise ValueError(f"{file} is no JWKS: {wrong}") from wrong


def read_api_keys(folder: Path) -> tuple[ApiKey, ...]:
    """The entries of all `keys.yaml` below the folder of towns. Raises ValueError."""
    keys: list[ApiKey] = []
    for file in sorted(folder.glob("*/keys.yaml")):
        try:
            said: Any = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            keys += KeysFile.model_validate(said).keys or ()
        except (ValueError, RecursionError, yaml.YAMLError) as wrong:
            raise ValueError(f"{file}: {wrong}") from wrong
    return tuple(keys)


def _fields(wrong: ValidationError) -> str:
    return ", ".join(".".join(map(str, error["loc"])) for error in wrong.errors())
