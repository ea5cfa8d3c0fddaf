"""MongoDB as a service needs it: answering, a replica set with a primary, and begun with the
secrets and profiles at hand."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from deploy.doctor.faults import Diagnosis
from deploy.doctor.files import Files
from shared.keystore import check_secrets
from shared.mongo import Client, Document, database
from shared.restored import BEGUN, ONE, RESTORE
from shared.sealing import InstallationKeys
from shared.settings import Settings
from shared.town import Towns

SERVICES: Final = ("intake", "dispatch", "projections")
_ANSWER_SECONDS: Final = 3
_TLS: Final = ("tls", "ssl")


async def look_at_mongo(mongo: Client, settings: Settings, files: Files, found: Diagnosis) -> bool:
    """Whether what it holds can be read. Raises PyMongoError when it goes away meanwhile."""
    if not await _serves(settings.mongo, found):
        found.unseen.append("what MongoDB holds")
        return False
    await look_at_restores(mongo, settings.database_prefix, found)
    if files.secrets is not None:
        await _look_at_key_store(mongo, settings, files.secrets, found)
    if files.towns is not None:
        for service in SERVICES:
            await _look_at_profiles(mongo, settings, service, files.towns, found)
    return True


async def look_at_restores(mongo: Client, prefix: str, found: Diagnosis) -> None:
    """Stores that were restored, and what is left to do with them."""
    for service in SERVICES:
        store = database(mongo, f"{prefix}_{service}")
        if (left := await store[RESTORE].find_one(ONE)) is None:
            continue
        words = {"store": store.name, "service": service, "why": left.get("why")}
        if left["state"] == BEGUN:
            found.add("store-half-restored", **words)
        else:
            found.add("store-and-topic-apart" if left.get("why") else "store-behind", **words)


async def _serves(uri: str, found: Diagnosis) -> bool:
    """Whether there is a primary of a replica set. Each host is asked by itself: a client of the
    replica set would only say that it found none."""
    said = parse_uri(uri)
    nodes: list[tuple[str, int]] = said["nodelist"]
    options = _tls(uri, said["options"])
    hosts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in nodes]
    asked = [asyncio.to_thread(_hello, _direct(host, options)) for host in hosts]
    hellos = [hello for hello in await asyncio.gather(*asked) if hello is not None]
    name = said["options"].get("replicaSet", "rs0")
    members = ", ".join(f"{{_id: {n}, host: '{host}'}}" for n, host in enumerate(hosts))
    words = {
        "where": f"MongoDB at {','.join(hosts)}",
        "uri": _direct(hosts[0], _shown(options)),
        "set": name,
        "members": f"{{_id: '{name}', members: [{members}]}}",
    }
    if not hellos:
        found.add("mongo-away", **words, why=f"no answer within {_ANSWER_SECONDS} s")
    elif any("setName" not in hello and "isreplicaset" not in hello for hello in hellos):
        found.add("mongo-alone", **words)
    elif not any("setName" in hello for hello in hellos):
        found.add("mongo-not-begun", **words)
    elif not any(hello["isWritablePrimary"] or hello.get("primary") for hello in hellos):
        found.add("mongo-without-primary", **words)
    else:
        return True
    return False


def _tls(uri: str, said: Mapping[str, Any]) -> list[str]:
    """How the URI wants TLS, option by option as it says them; mongodb+srv wants it unsaid."""
    named = [each for each in uri.partition("?")[2].split("&") if each[:3].lower() in _TLS]
    names = {each.partition("=")[0].lower() for each in named}
    return named if names & {"tls", "ssl"} or not said.get("tls") else ["tls=true", *named]


def _shown(options: list[str]) -> list[str]:
    """Without the password of a key."""
    return [each for each in options if "password" not in each.lower()]


def _direct(host: str, options: list[str]) -> str:
    return f"mongodb://{host}/?{'&'.join(['directConnection=true', *options])}"


def _hello(uri: str) -> Document | None:
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri, serverSelectionTimeoutMS=_ANSWER_SECONDS * 1000
    )
    with client:
        try:
            return dict(client.admin.command("hello"))
        except PyMongoError:
            return None


async def _look_at_key_store(
    mongo: Client, settings: Settings, secrets: InstallationKeys, found: Diagnosis
) -> None:
    store = database(mongo, f"{settings.database_prefix}_keys")
    if await store["canary"].find_one() is None:
        return  # no service has begun it yet, and this is not the one to do so
    try:
        await check_secrets(store, secrets)
    except ValueError as other:
        files = f"{settings.master_key_file}, {settings.index_key_file}"
        found.add("secrets-of-another", why=str(other).capitalize(), files=files)


async def _look_at_profiles(
    mongo: Client, settings: Settings, service: str, towns: Towns, found: Diagnosis
) -> None:
    at_hand = towns.versions()
    home = database(mongo, f"{settings.database_prefix}_{service}")
    words = {"service": service, "folder": settings.towns}
    async for used in home["profiles"].find().sort("_id", 1):
        name = used["_id"]
        if name not in at_hand:
            found.add("profile-absent", **words, profile=name)
        elif at_hand[name] != used["digest"]:
            found.add("profile-edited", **words, profile=name)
