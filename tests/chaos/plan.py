"""What the people of a run want: it follows from the seed alone, however fast they get on."""

from dataclasses import dataclass
from random import Random
from typing import Final

TOWN: Final = "t3"
COMMUNITY: Final = "t3/west"
AREAS: Final = tuple(f"{COMMUNITY}/g{n}" for n in range(1, 10))
UNITS: Final = (
    "sanitation-station",
    "property-office",
    "police-post",
    "power-supply",
    "water-company",
)
RATED: Final = (
    ("appeal", "sanitation"),
    ("appeal", "repairs"),
    ("wish", "company"),
    ("dispute", "neighbours"),
)
CHECKED: Final = (("hazard", "wires"), ("hazard", "road"))
UNASKED: Final = (("consultation", "policy"), ("event", "order"))

PATHS: Final = {
    "solved": 20,
    "unsolved": 10,
    "withdrawn": 10,
    "withdrawn_at_once": 4,
    "returned": 10,
    "redirected": 10,
    "declined": 4,
    "referred": 4,
    "verified": 6,
    "reworked": 6,
    "unasked": 6,
    "on_the_spot": 5,
    "raced": 10,
    "out_of_turn": 5,
}
"""How a matter goes, and how often it goes so. Each is a function of `tests.chaos.ways`."""
PARTNER_PATHS: Final = {"reported": 12, "raised": 4, "too_early": 3, "unknown": 2}

_KINDS: Final = {
    "verified": CHECKED,
    "reworked": CHECKED,
    "unasked": UNASKED,
    "on_the_spot": UNASKED,
    "reported": (("event", "order"), ("event", "facilities")),
    "raised": CHECKED,
}


@dataclass(frozen=True, slots=True)
class Matter:
    """One matter from its submission to its end. `name` begins every key and reference of it;
    `twice`: each command is sent to both instances at the same time."""

    name: str
    path: str
    kind: str
    category: str
    area: str
    units: tuple[str, str]
    words: str
    satisfaction: int
    twice: bool


def matter(seed: int, who: str, n: int, paths: dict[str, int] = PATHS) -> Matter:
    """The n-th matter of one of the people."""
    chance = Random(f"matter/{seed}/{who}/{n}")
    path = chance.choices(list(paths), list(paths.values()))[0]
    kind, category = chance.choice(_KINDS.get(path, RATED))
    one, other = chance.sample(UNITS, 2)
    return Matter(
        name=f"{seed}-{who}-{n}",
        path=path,
        kind=kind,
        category=category,
        area=chance.choice(AREAS),
        units=(one, other),
        words=f"第{n}件，{who}（虚构）：" + "水" * chance.randint(1, 60),
        satisfaction=chance.randint(1, 5),
        twice=chance.random() < 0.2,
    )
