"""Everybody who uses the services in a run, each with a token of their own."""

from functools import cache

from deploy.local.installation import Installation
from shared.access import Role
from shared.contracts.base import TownId
from shared.sealing import InstallationKeys, installation_keys
from tests.chaos.insisting import Client, Desk
from tests.chaos.plan import COMMUNITY, TOWN


class People:
    """Makes clients; the same person is the same client."""

    def __init__(self, place: Installation, desk: Desk) -> None:
        self._place = place
        self._desk = desk
        self._keys = _keys(place)
        self.resident = cache(self._resident)
        self.clerk = cache(self._clerk)
        self.officer = cache(self._officer)
        self.unit = cache(self._unit)

    def _resident(self, sub: str) -> Client:
        token = self._place.secrets.token(Role.RESIDENT, sub, TOWN)
        return self._client(token, f"resident:{self._keys.blind(TownId(TOWN), 'account', sub)}")

    def _clerk(self, n: int) -> Client:
        return self._staff(Role.COMMUNITY, f"desk-{n}", turn=n)

    def _officer(self, n: int) -> Client:
        return self._staff(Role.OFFICER, f"officer-{n}", turn=n)

    def _unit(self, unit: str) -> Client:
        token = self._place.secrets.token(Role.UNIT, f"of-{unit}", TOWN, unit=unit)
        return self._client(token, f"unit:of-{unit}")

    def _staff(self, role: Role, sub: str, turn: int) -> Client:
        token = self._place.secrets.token(role, sub, TOWN, [COMMUNITY])
        return self._client(token, f"{role}:{sub}", turn)

    def _client(self, token: str, name: str, turn: int = 0) -> Client:
        return Client(self._desk, token, TOWN, name, turn)


def _keys(place: Installation) -> InstallationKeys:
    folder = place.secrets.folder
    return installation_keys(folder / "master.key", folder / "index.key")
