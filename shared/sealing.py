"""Sealing of free text under a data key per subject, and how a key seals a request.

AES-256-GCM; the additional data names subject, story and field, so a box moved elsewhere does
not open. Keys of subjects are wrapped by a master key that never enters MongoDB.
"""

import base64
import hmac
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.base import Sealed, StoryId, SubjectId, TownId
from shared.errors import KeyMissing
from shared.store import RequestSeal

_NONCE: Final = 12
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens the texts of one subject."""

    subject: SubjectId
    key: bytes

    def seal(self, story: StoryId, field: str, text: str) -> Sealed:
        """`text` as it may be stored. Raises ValueError when it is not Unicode."""
        nonce = os.urandom(_NONCE)
        plain = text.encode()
        box = nonce + AESGCM(self.key).encrypt(nonce, plain, self._about(story, field))
        return Sealed(subject=self.subject, box=base64.b64encode(box).decode())

    def seal_some(self, story: StoryId, field: str, text: str | None) -> Sealed | None:
        """The same for a text that may be absent."""
        return None if text is None else self.seal(story, field, text)

    def open(self, story: StoryId, field: str, sealed: Sealed) -> str:
        """The text. Raises KeyMissing when this key did not seal it for this place."""
        box = base64.b64decode(sealed.box)
        try:
            about = self._about(story, field)
            return AESGCM(self.key).decrypt(box[:_NONCE], box[_NONCE:], about).decode()
        except InvalidTag as wrong:
            raise KeyMissing(f"{field} of {story} is not sealed by this key") from wrong

    def request(self, body: bytes) -> RequestSeal:
        """What was asked, so that a retry is told from another request under the same id."""
        return RequestSeal(self.subject, _digest(self.key, b"request\0" + body))

    def _about(self, story: StoryId, field: str) -> bytes:
        return "\0".join((self.subject, story, field)).encode()


@dataclass(frozen=True, slots=True)
class InstallationKeys:
    """The two secrets of an installation: `master` wraps keys, `index` hides who is who."""

    master: bytes
    index: bytes

    def wrap(self, subject: SubjectId, key: bytes) -> bytes:
        """A data key as it may be stored."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self.master).encrypt(nonce, key, subject.encode())

    def unwrap(self, subject: SubjectId, wrapped: bytes) -> bytes:
        """The data key. Raises KeyMissing under another master key."""
        try:
            return AESGCM(self.master).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], subject.encode())
        except InvalidTag as wrong:
            raise KeyMissing(f"{subject}: wrapped under another master key") from wrong

    def blind(self, town: TownId, what: str, value: str) -> str:
        """A stable name for an account or phone that tells nothing without the index secret."""
        return _digest(self.index, "\0".join((town, what, value)).encode()).hex()


def installation_keys(master: Path, index: Path) -> InstallationKeys:
    """The keys in two files of 32 bytes as hexadecimal. Raises ValueError naming the file."""
    return InstallationKeys(_read_key(master), _read_key(index))


def new_key() -> bytes:
    """A fresh data key."""
    return os.urandom(_KEY_BYTES)


def normalised_phone(phone: str) -> str:
    """Digits only, without the national prefix: one person, one index.

    A short local number may itself begin with 86; only what leaves a whole number is a prefix.
    """
    digits = "".join(c for c in phone if c.isdecimal())
    whole = digits.removeprefix("00").removeprefix("86")
    return whole if digits.startswith(("86", "0086")) and len(whole) >= 10 else digits


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, sha256).digest()


def _read_key(file: Path) -> bytes:
    try:
        key = bytes.fromhex(file.read_text().strip())
    except ValueError as wrong:
        raise ValueError(f"{file} must hold 32 bytes as hexadecimal") from wrong
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{file} must hold 32 bytes as hexadecimal, it holds {len(key)}")
    return key
