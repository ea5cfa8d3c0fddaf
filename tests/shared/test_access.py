"""Who is let in, and as whom: a token or key that does not hold is nobody's."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared import access, remembered
from shared.access import ApiKey, Principal, Role, Unauthenticated, read_api_keys, read_signers
from shared.contracts.base import AreaId, TownId, UnitId
from tests.build import ISSUER, IdentityProvider

US = IdentityProvider()
DOOR = US.doorkeeper()
CLAIMS = {"iss": ISSUER, "aud": "wishgrid", "sub": "li", "role": "officer", "town": "t3"}


def admit(token: str) -> Principal:
    return DOOR.admit(f"Bearer {token}", None)


def forged(algorithm: str, key: object) -> str:
    claims = {**CLAIMS, "exp": int(time.time()) + 600}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": US.key_id})  # type: ignore[arg-type]  # any key


def test_an_officer_is_let_in_with_areas_from_the_token() -> None:
    who = admit(US.token("officer", areas=["t3/west", "t3/east/g1"]))
    areas = (AreaId("t3/west"), AreaId("t3/east/g1"))
    assert who == Principal("officer:li", Role.OFFICER, TownId("t3"), areas, UnitId("drains"))
    assert who.actor == "officer:li"


def test_a_token_that_was_let_in_once_is_not_let_in_past_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = int(time.time()) + 30
    token = US.token(exp=end)
    assert admit(token) == admit(token)
    monkeypatch.setattr(access, "time", lambda: end)
    monkeypatch.setattr(DOOR, "_claims", _nobody)  # it must be looked at again
    with pytest.raises(Unauthenticated):
        admit(token)


def test_a_token_is_looked_at_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, token = 1000.0, US.token()
    monkeypatch.setattr(remembered, "monotonic", lambda: now)
    admit(token)
    monkeypatch.setattr(DOOR, "_claims", _nobody)
    now += 59
    admit(token)
    now += 2
    with pytest.raises(Unauthenticated):
        admit(token)


def _nobody(_: str) -> None:
    raise Unauthenticated


def test_bearer_is_read_in_any_case() -> None:
    assert DOOR.admit(f"bearer {US.token()}", None).role is Role.OFFICER


@pytest.mark.parametrize(
    "token",
    [
        lambda: US.token(exp=int(time.time()) - 1),
        lambda: US.token(nbf=int(time.time()) + 600),
        lambda: US.token(iss="somebody-else"),
        lambda: US.token(aud="another-suite"),
        lambda: US.token(role="mayor"),
        lambda: US.token(town="T3"),
        lambda: US.token(sub=""),
        lambda: US.token(areas=["t9/west"]),
        lambda: US.token(areas=["t3/west", "t33"]),
        lambda: US.token(areas=["t3/*"]),
        lambda: US.token(unit="no such unit!"),
        *((lambda name=name: US.token(without=name)) for name in ("exp", "iss", "aud", "sub")),
        *((lambda name=name: US.token(without=name)) for name in ("role", "town")),
        lambda: IdentityProvider().token(),
        lambda: replace(US, key_id="k2").token(),
        lambda: forged("none", None),
        lambda: forged("HS256", "s" * 32),
        lambda: forged("HS256", US.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
        lambda: forged("ES256", generate_private_key(SECP256R1())),
        lambda: forged("RS256", rsa_key(65537, 2048)),
        lambda: US.token()[:-4] + "AAAA",
        lambda: "not-a-token",
        lambda: "a.b.c",
        lambda: "ÿ.ÿ.ÿ",
        lambda: "",
    ],
)
def test_a_token_that_does_not_hold_lets_nobody_in(token: Callable[[], str]) -> None:
    with pytest.raises(Unauthenticated):
        admit(token())


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic bGk6bGk=", "bGk6bGk="])
def test_without_credentials_nobody_is_let_in(header: str | None) -> None:
    with pytest.raises(Unauthenticated, match="send Authorization"):
        DOOR.admit(header, None)


def test_a_resident_is_named_by_a_blind_index_and_has_no_areas() -> None:
    who = admit(US.token("resident", sub="wang@example.com"))
    assert who.account == "wang@example.com"
    assert "wang" not in who.id
    assert (who.areas, who.unit) == ((), None)
    assert who.id == admit(US.token("resident", sub="wang@example.com")).id
    assert who.id != admit(US.token("resident", sub="wang@example.org")).id
    assert who.id != admit(US.token("resident", sub="wang@example.com", town="t9")).id


def test_the_account_is_kept_for_residents_only() -> None:
    for role in set(Role) - {Role.RESIDENT}:
        assert admit(US.token(role)).account is None


def test_an_area_is_seen_with_all_below_it_and_nothing_beside_it() -> None:
    who = admit(US.token(areas=["t3/west"]))
    assert who.sees("t3/west")
    assert who.sees("t3/west/g4/b1")
    assert not who.sees("t3")
    assert not who.sees("t3/western")
    assert not admit(US.token(areas=[])).sees("t3")


def test_a_system_is_let_in_by_its_key_alone() -> None:
    key = ApiKey(
        id="hotline",
        sha256=hashlib.sha256(b"secret").hexdigest(),
        town=TownId("t3"),
        areas=(AreaId("t3"),),
    )
    door = US.doorkeeper(key)
    assert door.admit(None, "secret") == Principal(
        "system:hotline", Role.SYSTEM, TownId("t3"), (AreaId("t3"),)
    )
    for wrong in ("", "Secret", key.sha256):
        with pytest.raises(Unauthenticated, match="unknown API key"):
            door.admit(f"Bearer {US.token()}", wrong)


def test_api_keys_are_read_from_beside_the_towns(tmp_path: Path) -> None:
    for town, keys in (("t3", "keys: [{id: a, sha256: %s, town: t3, areas: [t3]}]"), ("t9", "")):
        (tmp_path / town).mkdir()
        (tmp_path / town / "keys.yaml").write_text(keys.replace("%s", "a" * 64))
    assert [(key.id, key.role) for key in read_api_keys(tmp_path)] == [("a", Role.SYSTEM)]


@pytest.mark.parametrize(
    "entry", ["{id: a}", "{id: a, sha256: 123, town: t3, areas: [t3]}", "{id: a, key: secret}"]
)
def test_an_api_key_that_does_not_read_names_its_file(tmp_path: Path, entry: str) -> None:
    (tmp_path / "t3").mkdir()
    (tmp_path / "t3" / "keys.yaml").write_text(f"keys: [{entry}]")
    with pytest.raises(ValueError, match=r"t3/keys\.yaml"):
        read_api_keys(tmp_path)


def test_signers_that_do_not_read_name_their_file(tmp_path: Path) -> None:
    file = tmp_path / "token-keys.json"
    for content in ("", "{}", '{"keys": []}'):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"token-keys\.json is no JWKS"):
            read_signers(file)


def test_a_key_for_areas_of_another_town_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "t3").mkdir()
    entry = f"keys: [{{id: a, sha256: {'a' * 64}, town: t3, areas: [t9/west]}}]"
    (tmp_path / "t3" / "keys.yaml").write_text(entry)
    with pytest.raises(ValueError, match=r"(?s)t3/keys\.yaml.*areas of another town"):
        read_api_keys(tmp_path)


def test_a_token_that_holds_for_a_town_not_served_here_lets_nobody_in() -> None:
    with pytest.raises(Unauthenticated, match="town t7 is not served here"):
        admit(US.token(town="t7", areas=[]))


@pytest.mark.parametrize("sub", ["13900000000 王", "li@example.org", "x" * 65])
def test_the_id_of_staff_is_no_free_text_because_facts_keep_it(sub: str) -> None:
    with pytest.raises(Unauthenticated, match="sub of staff"):
        admit(US.token("officer", sub=sub))
