"""Builders: a story from wish to write-off as facts, facts as recorded, a town, credentials."""

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.access import AUDIENCE, ApiKey, Doorkeeper, Role
from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    CommandId,
    FactId,
    ResidentId,
    Sealed,
    SourceRef,
    StoryId,
    StreamId,
    SubjectId,
    TargetId,
    TownId,
    UnitId,
)
from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseDispatched,
    CaseOpened,
    CaseReopened,
    CaseResolved,
    DispatchFact,
    ProgressReported,
    UnitReported,
)
from shared.contracts.intake import (
    CaseStandNoted,
    IntakeFact,
    RatingInvited,
    WishRated,
    WishSubmitted,
)
from shared.contracts.recorded import Recorded, stream_id
from shared.contracts.registry import AnyFact
from shared.errors import KeyMissing
from shared.profile import Profile, Unit
from shared.sealing import InstallationKeys, Sealer
from shared.town import Town, Towns

NOW: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DUE: Final = NOW + timedelta(hours=120)
LATER: Final = DUE + timedelta(hours=120)
STORY: Final = StoryId("6f1c2b1e-58a3-5d64-9a55-0c1f6a0b7c11")
OTHER_STORY: Final = StoryId("0b9d4c0a-71e5-5b7e-8f39-4f2a6d3e9c22")
WISH_STREAM: Final = stream_id("wish", STORY)
CASE_STREAM: Final = stream_id("case", STORY)
RESIDENT: Final = ResidentId("5d41402abc4b2a76b9719d911017c592")
RESIDENT_ACTOR: Final = ActorId(f"resident:{RESIDENT}")
OFFICER: Final = ActorId("officer:li")
COMMUNITY: Final = ActorId("community:west")
CREW: Final = ActorId("unit:crew-1")
POLICY: Final = ActorId("policy:of-the-test")
DRAINS, LIGHTS = UnitId("drains"), UnitId("lights")
APPEAL, HAZARD = Code("appeal"), Code("hazard")
GRID: Final = AreaId("t3/west/g4")
INSTALLATION: Final = InstallationKeys(master=b"m" * 32, index=b"i" * 32)
ISSUER: Final = "identity-provider-of-the-test"


def sealed(text: str = "3号楼下水道堵了", subject: str = RESIDENT) -> Sealed:
    """Something that looks sealed and is the same each time."""
    return Sealed(subject=SubjectId(subject), box=base64.b64encode(text.encode()).decode())


def submitted(kind: Code = APPEAL, resident: ResidentId | None = RESIDENT) -> WishSubmitted:
    """A wish brought by an officer, with every field said."""
    return WishSubmitted(
        by=OFFICER,
        kind=kind,
        category=Code("sanitation"),
        area=GRID,
        channel=Code("visit"),
        submitted_by=OFFICER,
        on_behalf_of=resident,
        resident=resident,
        source_ref=SourceRef("12345-2026-0001"),
        title=sealed("下水道"),
        words=sealed(),
        name=sealed("王"),
        phone=sealed("13900000000"),
        address=sealed("3号楼"),
    )


def opened(kind: Code = APPEAL) -> CaseOpened:
    return CaseOpened(
        by=POLICY,
        wish_version=1,
        kind=kind,
        category=Code("sanitation"),
        area=GRID,
        resident=RESIDENT,
    )


def dispatched(unit: UnitId = DRAINS, n: int = 1) -> CaseDispatched:
    return CaseDispatched(
        by=COMMUNITY, unit=unit, role="lead", assignment=TargetId(f"assignment-{n}")
    )


def reported(unit: UnitId = DRAINS, n: int = 1) -> UnitReported:
    return UnitReported(by=CREW, unit=unit, to=TargetId(f"assignment-{n}"))


def resolved(unit: UnitId = DRAINS, n: int = 1, *, rating_asked: bool = True) -> CaseResolved:
    return CaseResolved(
        by=CREW,
        unit=unit,
        to=TargetId(f"assignment-{n}"),
        outcome=Code("resolved"),
        note=sealed("疏通了"),
        rating_asked=rating_asked,
    )


def noted(case_version: int, *, rateable: bool = False, closed: bool = False) -> CaseStandNoted:
    return CaseStandNoted(by=POLICY, case_version=case_version, rateable=rateable, closed=closed)


def invited(case_version: int) -> RatingInvited:
    return RatingInvited(by=POLICY, case_version=case_version)


def rated(case_version: int, *, solved: bool, satisfaction: int = 4) -> WishRated:
    return WishRated(
        by=RESIDENT_ACTOR, case_version=case_version, resolved=solved, satisfaction=satisfaction
    )


ACCEPTED: Final = CaseAccepted(by=COMMUNITY, due=DUE)
PROGRESS: Final = ProgressReported(
    by=CREW, unit=DRAINS, to=TargetId("assignment-1"), note=sealed("在修")
)
REOPENED: Final = CaseReopened(by=POLICY, wish_version=4, due=LATER)
CLOSED: Final = CaseClosed(by=POLICY, reason=Code("rated"), wish_version=8)

WISH_FACTS: Final[tuple[IntakeFact, ...]] = (
    submitted(),
    noted(6, rateable=True),
    invited(6),
    rated(6, solved=False, satisfaction=1),
    noted(7),
    noted(10, rateable=True),
    invited(10),
    rated(10, solved=True, satisfaction=5),
    noted(11, closed=True),
)
"""The wish of a story in two rounds: not solved at first, then solved, then written off."""
CASE_FACTS: Final[tuple[DispatchFact, ...]] = (
    opened(),
    ACCEPTED,
    dispatched(),
    reported(),
    PROGRESS,
    resolved(),
    REOPENED,
    dispatched(LIGHTS, 2),
    reported(LIGHTS, 2),
    resolved(LIGHTS, 2),
    CLOSED,
)
"""The case of the same story."""


def recorded(
    fact: AnyFact,
    stream: StreamId = WISH_STREAM,
    version: int = 1,
    *,
    at: datetime = NOW,
    occurred: datetime | None = None,
    causation: FactId | None = None,
    town: Town | None = None,
) -> Recorded:
    """`fact` as it stands in a stream."""
    town = town or a_town()
    return Recorded(
        fact=fact,
        stream=stream,
        version=version,
        town=town.id,
        profile=town.profiles[0].version,
        occurred=occurred or at,
        recorded=at,
        command_id=CommandId(f"command-{stream}@{version}"),
        correlation="correlation-1",
        causation=causation,
    )


def told(
    facts: Iterable[AnyFact], kind: str, story: StoryId = STORY, start: datetime = NOW
) -> list[Recorded]:
    """`facts` as the stream of `kind` tells them, a minute apart."""
    stream = stream_id(kind, story)
    return [
        recorded(fact, stream, n, at=start + timedelta(minutes=n))
        for n, fact in enumerate(facts, start=1)
    ]


def profile(**changes: Any) -> Profile:
    """A town's profile: an appeal is rated, a hazard is not."""
    said: dict[str, Any] = {
        "town": "t3",
        "name": "西街社区",
        "n": 1,
        "effective": datetime(2025, 1, 1, tzinfo=UTC),
        "time_zone": "Asia/Shanghai",
        "levels": {"county": "县", "community": "社区", "grid": "网格"},
        "areas": [
            {"id": "t3", "level": "county", "name": "泾川县"},
            {"id": "t3/west", "level": "community", "name": "西街社区"},
            {"id": GRID, "level": "grid", "name": "第四网格"},
        ],
        "kinds": {APPEAL: kind(rated=True), HAZARD: kind(rated=False)},
        "channels": {"visit": "走访", "online": "网上"},
        "outcomes": {"resolved": "已解决", "partly": "部分解决"},
        "occurred_back_hours": {"default": 72, "roles": {"resident": 720}},
    }
    return Profile.model_validate({**said, **changes})


def kind(*, rated: bool) -> dict[str, Any]:
    """A kind of matter as a profile says it."""
    return {
        "name": "一类",
        "categories": {"sanitation": "环境卫生"},
        "resolve_within_hours": 120,
        "rating_asked": rated,
    }


def a_town(*profiles: Profile) -> Town:
    """A town with two units."""
    units = {unit: Unit(id=unit, name=unit) for unit in (DRAINS, LIGHTS)}
    return Town(TownId("t3"), profiles or (profile(),), units)


def some_towns() -> Towns:
    """An installation of one town."""
    town = a_town()
    return Towns({town.id: town})


@dataclass
class HandClock:
    """A clock that stands still until somebody moves it."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@dataclass
class KeyRing:
    """The sealers there are; taking one out erases it."""

    sealers: dict[SubjectId, Sealer] = field(default_factory=dict)

    async def sealer(self, subject: SubjectId) -> Sealer:
        if subject not in self.sealers:
            raise KeyMissing(subject)
        return self.sealers[subject]

    def make(self, subject: str) -> Sealer:
        """A sealer for `subject`, kept."""
        name = SubjectId(subject)
        key = hashlib.sha256(name.encode()).digest()
        return self.sealers.setdefault(name, Sealer(name, key))


@dataclass(frozen=True)
class IdentityProvider:
    """Signs tokens as the town's identity provider would."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    key_id: str = "k1"

    def jwks(self) -> jwt.PyJWKSet:
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return jwt.PyJWKSet.from_dict({"keys": [{**public, "kid": self.key_id, "alg": "EdDSA"}]})

    def doorkeeper(self, *keys: ApiKey) -> Doorkeeper:
        return Doorkeeper(self.jwks(), ISSUER, keys, INSTALLATION, {TownId("t3"), TownId("t9")})

    def token(self, role: str = "officer", without: str = "", **claims: Any) -> str:
        """A token; `claims` replace those that hold, `without` names one left out."""
        said: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 600,
            "sub": "li",
            "role": role,
            "town": "t3",
            "areas": ["t3/west"],
            "unit": DRAINS,
            **claims,
        }
        said.pop(without, None)
        return jwt.encode(said, self.key, algorithm="EdDSA", headers={"kid": self.key_id})

    def bearer(self, role: Role) -> Mapping[str, str]:
        """The header under which somebody in `role` asks."""
        return {"Authorization": f"Bearer {self.token(role.value)}"}
