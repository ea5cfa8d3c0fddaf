"""Does to an installation what the schedule says, and starts again what ended, as compose would."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pymongo.uri_parser import parse_uri

from deploy.local.installation import Installation
from deploy.local.process import Process
from tests.chaos.faults import Act, Fault

GRACE_SECONDS: Final = 40.0
"""`stop_grace_period` of the compose file."""
_LOOK_SECONDS: Final = 0.2
_RESTART_SECONDS: Final = 1.0


@dataclass
class _Target:
    """One process and where it answers; who holds `hold` says whether it runs."""

    process: Process
    address: str
    hold: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answers(self) -> bool:
        """Whether it takes connections."""
        host, _, port = self.address.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return True


class Harm:
    """The faults of one run. `done` is the record of them, in the order in which they began."""

    def __init__(self, place: Installation, faults: Sequence[Fault]) -> None:
        self._targets = {target.process.name: target for target in _targets(place)}
        self._faults = faults
        self._began = self._up_since = time.monotonic()
        self.done: list[dict[str, Any]] = []
        self.left_out: list[dict[str, Any]] = []
        """Faults whose target was not up again yet: machines differ in how soon that is."""
        self.died: Counter[str] = Counter()
        """Processes that ended by themselves, by name and status: they were started again."""
        self.overdue: Counter[str] = Counter()
        """Those that had to be killed because they did not end when asked."""

    async def run(self) -> None:
        """All faults, each at its time; returns when the last one is healed. What is stopped goes
        on in any case."""
        try:
            await asyncio.gather(*(self._befall(fault) for fault in self._faults))
        finally:
            for target in self._targets.values():
                target.process.signal(signal.SIGCONT)

    def up_for(self) -> float:
        """For how many seconds every process has taken connections."""
        return time.monotonic() - self._up_since

    async def watch(self) -> None:
        """Look whether all is up, until cancelled."""
        while True:
            for target in self._targets.values():
                if target.hold.locked() or not await target.answers():
                    self._up_since = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)

    async def supervise(self) -> None:
        """Start again whatever ended by itself, until cancelled."""
        while True:
            for name, target in self._targets.items():
                if target.hold.locked() or target.process.alive():
                    continue
                async with target.hold:
                    self.died[f"{name} {target.process.returncode()}"] += 1
                    await asyncio.sleep(_RESTART_SECONDS)
                    await asyncio.to_thread(target.process.start)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _befall(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, self._began + fault.at - time.monotonic()))
        await asyncio.gather(*(self._hurt(name, fault) for name in fault.targets))

    async def _hurt(self, name: str, fault: Fault) -> None:
        target = self._targets[name]
        async with target.hold:
            began = time.monotonic()
            noted = {"at": round(began - self._began, 2), "target": name, "act": fault.act}
            if not await target.answers():
                self.left_out.append(noted)
                return
            self.done.append(noted)
            await _ACTS[fault.act](self, name, target.process, fault.seconds)
            noted["seconds"] = round(time.monotonic() - began, 2)

    async def _kill(self, _: str, process: Process, seconds: float) -> None:
        await asyncio.to_thread(process.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(process.start)

    async def _stop(self, _: str, process: Process, seconds: float) -> None:
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.signal(signal.SIGCONT)

    async def _end(self, name: str, process: Process, _: float) -> None:
        await asyncio.to_thread(process.terminate, GRACE_SECONDS)
        if process.returncode() == -signal.SIGKILL:
            self.overdue[name] += 1
        await asyncio.to_thread(process.start)


_ACTS: Final[dict[Act, Any]] = {"kill": Harm._kill, "stop": Harm._stop, "end": Harm._end}


def _targets(place: Installation) -> Iterator[_Target]:
    """All there is. Raises ValueError for servers of others: they cannot be hurt."""
    for instance in place.instances():
        yield _Target(instance.process, instance.url.removeprefix("http://"))
    kafka, mongod = place.servers.kafka_server, place.servers.mongo_server
    if kafka is None or mongod is None:
        raise ValueError("servers that are given from elsewhere cannot be hurt")
    yield _Target(kafka.process, kafka.address)
    ((host, port),) = parse_uri(mongod.address)["nodelist"]
    yield _Target(mongod.process, f"{host}:{port}")
