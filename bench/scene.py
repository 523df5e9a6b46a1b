"""A server with everybody connected, and what one load costs it."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench import janus, process
from bench.generator import Generator, Peer
from bench.load import Load
from tests.support.api import Json
from tests.support.raw_peer import RawPeer
from tests.support.raw_transport import PacketListener
from tests.support.studio import Studio, start_studio

WARM_UP_S = 1.0
ZERO = process.Times(0, 0)


class Round(NamedTuple):
    """One load and what it cost."""

    recording: bool
    sent: int
    delivered: int
    lost: int
    """Copies that did not come."""
    cpu_us: float
    """Of the server's process, all threads."""
    cpu_main_us: float
    """Of its first thread; in Stemroom the event loop."""
    waited_us: float
    """That this thread was ready but others had its core."""
    latency_us: tuple[float, float]
    """p50 and p99; zeros without subscribers."""
    packets_per_send: float
    """As the server counts it; 0 where it does not."""
    packets_per_wakeup: float
    late_ms: float
    """How late the generator was at worst."""


class Server(Protocol):
    name: str
    pid: int

    async def join(self, listener: PacketListener) -> Peer:
        """A new participant of the one room."""

    async def record(self, on: bool) -> None:
        """Start or stop recording, as it may be."""

    async def events(self) -> dict[str, float]:
        """Counters of the media plane; empty where there are none."""


class Stemroom:
    name = "Stemroom"

    def __init__(self, studio: Studio, session: Json) -> None:
        self.pid = studio.pid
        self._studio = studio
        self._session = session
        self._recording = ""

    async def join(self, listener: PacketListener) -> Peer:
        return await RawPeer.join(self._studio.url, self._session["session_id"], listener=listener)

    async def record(self, on: bool) -> None:
        session_id, secret, api = self._session["session_id"], self._session["host_secret"], self._studio.api
        if on and not self._recording:
            self._recording = (await api.start_recording(session_id, secret))["recording_id"]
        elif self._recording and not on:
            await api.stop_recording(session_id, self._recording, secret)
            self._recording = ""

    async def events(self) -> dict[str, float]:
        text: str = await self._studio.operators("/metrics")
        found = re.findall(r'^stemroom_media_events_total\{event="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}


class Janus:
    name = "Janus"

    def __init__(self, pid: int, url: str) -> None:
        self.pid = pid
        self._url = url

    async def join(self, listener: PacketListener) -> Peer:
        return janus.JanusPeer(self._url, listener)

    async def record(self, on: bool) -> None:
        if on:
            raise NotImplementedError("Janus is measured without recording")

    async def events(self) -> dict[str, float]:
        return {}


@asynccontextmanager
async def stemroom_server(folder: Path, recorders_core: int | None) -> AsyncIterator[Stemroom]:
    """A fresh studio; its recorder process stays off the node's core."""
    overrides = {"log": {"level": "info"}, "session": {"max_participants": 100}}
    async with start_studio(folder, overrides) as studio:
        if recorders_core is not None:
            process.pin(studio.recorder_pid(), recorders_core)
        yield Stemroom(studio, await studio.create_session("Benchmark"))


@asynccontextmanager
async def janus_server(folder: Path) -> AsyncIterator[Janus]:
    async with janus.janus(folder, publishers=100) as (pid, url):
        yield Janus(pid, url)


class Scene:
    """Everybody connected to one server."""

    def __init__(self, server: Server, subscribers: int) -> None:
        self.server = server
        self._generator = Generator()
        self._subscribers = subscribers

    async def join(self, load: Load, publishers: int) -> None:
        """Connect everybody and warm up."""
        await self._generator.join(self.server.join, load, publishers, self._subscribers)
        warm_up = [send for send in load.sends if send.due_s < WARM_UP_S]
        await self.round(load._replace(sends=warm_up, duration_s=WARM_UP_S))

    async def round(self, load: Load, *, recording: bool = False) -> Round:
        await self.server.record(recording)
        generator = self._generator
        sealed = generator.seal(load)
        received, events = generator.received, await self.server.events()
        pid = self.server.pid
        before = process.times(pid)
        late_s = await generator.send(sealed, precise=load.precise)
        after = process.times(pid)
        counted = {name: count - events[name] for name, count in (await self.server.events()).items()}
        delivered = generator.received - received
        spent = {thread: time.on_cpu - before.get(thread, ZERO).on_cpu for thread, time in after.items()}
        sends = counted.get("sends", 0) - (counted.get("sent", 0) - delivered)
        return Round(
            recording=recording,
            sent=len(sealed),
            delivered=delivered,
            lost=len(sealed) * self._subscribers - delivered,
            cpu_us=sum(spent.values()) / 1000,
            cpu_main_us=spent[pid] / 1000,
            waited_us=(after[pid].waiting - before[pid].waiting) / 1000,
            latency_us=percentiles(generator.clocks.latencies),
            packets_per_send=delivered / sends if counted else 0.0,
            packets_per_wakeup=counted["received"] / max(1.0, counted["wakeups"]) if counted else 0.0,
            late_ms=1000 * late_s,
        )

    async def close(self) -> None:
        """Raises RuntimeError if something came that could not be decrypted: it was not what was measured."""
        undecryptable = self._generator.undecryptable
        await self._generator.close()
        if undecryptable:
            raise RuntimeError(f"{undecryptable} packets could not be decrypted")


def percentiles(latencies_ns: Sequence[int]) -> tuple[float, float]:
    """p50 and p99, microseconds."""
    if len(latencies_ns) < 2:
        return 0.0, 0.0
    ordered = sorted(latencies_ns)
    return ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000
