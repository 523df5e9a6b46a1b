"""The servers that are measured: their process, how participants join, what they count themselves."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from bench import janus, livekit, process
from bench.participant import Peer
from tests.support.api import Json
from tests.support.raw_peer import RawPeer
from tests.support.raw_transport import PacketListener
from tests.support.studio import Studio, start_studio

MAX_PARTICIPANTS = 100
INCOMING_BPS = 100_000_000
"""One publisher stands for several: a load of equal packets is faster than a participant may be."""


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


class LiveKit:
    name = "LiveKit"

    def __init__(self, pid: int, url: str, secret: str) -> None:
        self.pid = pid
        self._url = url
        self._secret = secret

    async def join(self, listener: PacketListener) -> Peer:
        peer = livekit.LiveKitPeer(self._url, self._secret, listener)
        await peer.join()
        return peer

    async def record(self, on: bool) -> None:
        if on:
            raise NotImplementedError("LiveKit is measured without recording")

    async def events(self) -> dict[str, float]:
        return {}


@asynccontextmanager
async def stemroom_server(folder: Path, recorders_core: int | None) -> AsyncIterator[Stemroom]:
    """A fresh studio; its recorder process stays off the node's core."""
    media = {"advertise": ["127.0.0.1"], "limits": {"incoming_bps": INCOMING_BPS}}
    overrides = {"log": {"level": "info"}, "session": {"max_participants": MAX_PARTICIPANTS}, "media": media}
    async with start_studio(folder, overrides) as studio:
        if recorders_core is not None:
            process.pin(studio.recorder_pid(), {recorders_core})
        yield Stemroom(studio, await studio.create_session("Benchmark"))


@asynccontextmanager
async def janus_server(folder: Path) -> AsyncIterator[Janus]:
    folder.mkdir()
    async with janus.janus(folder, publishers=MAX_PARTICIPANTS) as (pid, url):
        yield Janus(pid, url)


@asynccontextmanager
async def livekit_server(folder: Path) -> AsyncIterator[LiveKit]:
    folder.mkdir()
    async with livekit.livekit(folder) as (pid, url, secret):
        yield LiveKit(pid, url, secret)
