"""Secrets of a development installation, and tokens signed with them.

Production gets its master and index keys from an operator and its tokens from the town's
identity provider; it never sees this module.
"""

import json
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.access import AUDIENCE, Role

ISSUER = "wishgrid-development"
KEY_ID = "development"


@dataclass(frozen=True)
class Secrets:
    """Files of secrets in `folder`, made once and kept."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings that name them."""
        return {
            "WISHGRID_MASTER_KEY_FILE": str(self.folder / "master.key"),
            "WISHGRID_INDEX_KEY_FILE": str(self.folder / "index.key"),
            "WISHGRID_TOKEN_KEYS_FILE": str(self.folder / "token-keys.json"),
            "WISHGRID_TOKEN_ISSUER": ISSUER,
        }

    def ensure(self) -> "Secrets":
        """Make those that are missing, readable by their owner alone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("master.key", "index.key"):
            write_once(self.folder / name, secrets.token_hex(32).encode())
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        write_once(self.folder / "signer.pem", pem)
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._signer().public_key(), as_dict=True)
        jwks = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "EdDSA"}]}
        write_once(self.folder / "token-keys.json", json.dumps(jwks).encode())
        return self

    def token(
        self,
        role: Role,
        sub: str,
        town: str,
        areas: Sequence[str] = (),
        unit: str | None = None,
        hours: float = 12,
    ) -> str:
        """A token that the services of this installation accept."""
        now = time.time()
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now),
            "exp": int(now + hours * 3600),
            "sub": sub,
            "role": role.value,
            "town": town,
            "areas": list(areas),
        }
        if unit is not None:
            claims["unit"] = unit
        return jwt.encode(claims, self._signer(), algorithm="EdDSA", headers={"kid": KEY_ID})

    def _signer(self) -> Ed25519PrivateKey:
        key = load_pem_private_key((self.folder / "signer.pem").read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{self.folder / 'signer.pem'} is no Ed25519 key")
        return key


def write_once(file: Path, content: bytes, mode: int = 0o600) -> bool:
    """Write a file that by `mode` its owner alone may read, unless it is there; whether it was
    not."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    return True
