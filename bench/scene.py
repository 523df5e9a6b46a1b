"""One server with everybody connected, and what one load costs it."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from bench import process
from bench.generator import Generator
from bench.load import Load
from bench.servers import Server

WARM_UP_S = 1.0
MAX_WARM_UPS = 20
"""A server that estimates what a viewer's network carries begins low, and finds out within seconds."""


class Round(NamedTuple):
    """One load and what it cost."""

    recording: bool
    duration_s: float
    sent: int
    delivered: int
    lost: int
    """Copies that did not come."""
    repaired: int
    """Copies that came once more, because a viewer asked."""
    cpu_us: float
    """Of the server's process, all threads."""
    cpu_main_us: float
    """Of its first thread; in Stemroom the event loop."""
    held_up_us: float
    """That the server was ready to run but others had its core; see `held_up`."""
    latency_us: tuple[float, float]
    """p50 and p99; zeros without subscribers."""
    packets_per_send: float
    """As the server counts it; 0 where it does not."""
    packets_per_wakeup: float
    late_ms: float
    """How late the generator was at worst."""
    generator_share: float
    """Of one core, used by the generator."""


class Scene:
    """Everybody connected to one server."""

    def __init__(self, server: Server, subscribers: int, *, lossy: bool) -> None:
        self.server = server
        self._generator = Generator(lossy=lossy)
        self._subscribers = subscribers

    async def join(self, load: Load, publishers: int) -> None:
        """Connect everybody and warm up, until everything comes through. Raises RuntimeError if it never does."""
        await self._generator.join(self.server.join, load, publishers, self._subscribers)
        warm_up = [send for send in load.sends if send.due_s < WARM_UP_S]
        lost: list[int] = []
        while not lost or lost[-1]:
            if len(lost) == MAX_WARM_UPS:
                raise RuntimeError(f"{self.server.name} does not deliver everything; lost each second: {lost}")
            lost.append((await self.round(load._replace(sends=warm_up, duration_s=WARM_UP_S))).lost)

    async def round(self, load: Load, *, recording: bool = False) -> Round:
        await self.server.record(recording)
        generator = self._generator
        sealed = generator.seal(load)
        received, repaired, events = generator.received, generator.repaired, await self.server.events()
        pid = self.server.pid
        before, own = process.times(pid), time.process_time()
        late_s = await generator.send(sealed, precise=load.precise)
        after, own = process.times(pid), time.process_time() - own
        counted = {name: count - events.get(name, 0) for name, count in (await self.server.events()).items()}
        delivered = generator.received - received
        spent = process.spent(before, after)
        sends = counted.get("sends", 0) - (counted.get("sent", 0) - delivered)
        return Round(
            recording=recording,
            duration_s=load.duration_s,
            sent=len(sealed),
            delivered=delivered,
            lost=len(sealed) * self._subscribers - delivered,
            repaired=generator.repaired - repaired,
            cpu_us=sum(thread.on_cpu for thread in spent.values()) / 1000,
            cpu_main_us=spent[pid].on_cpu / 1000,
            held_up_us=held_up(list(spent.values())) / 1000,
            latency_us=percentiles(generator.clocks.latencies),
            packets_per_send=delivered / sends if sends else 0.0,
            packets_per_wakeup=counted["received"] / max(1.0, counted["wakeups"]) if counted else 0.0,
            late_ms=1000 * late_s,
            generator_share=own / load.duration_s,
        )

    async def close(self) -> None:
        """Raises RuntimeError if something came that could not be decrypted: it was not what was measured."""
        undecryptable = self._generator.undecryptable
        await self._generator.close()
        if undecryptable:
            raise RuntimeError(f"{undecryptable} packets could not be decrypted")


def held_up(threads: Sequence[process.Times]) -> int:
    """For how long other processes kept a process from its core, nanoseconds, at least: the longest wait of a thread
    that its siblings on the same core cannot have caused."""
    total = sum(thread.on_cpu for thread in threads)
    return max(0, *(thread.waiting - (total - thread.on_cpu) for thread in threads))


def percentiles(latencies_ns: Sequence[int]) -> tuple[float, float]:
    """p50 and p99, microseconds."""
    if len(latencies_ns) < 2:
        return 0.0, 0.0
    ordered = sorted(latencies_ns)
    return ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000
