"""The media plane of one node: its port, its rooms, and the clock that drives their regular duties."""

import asyncio
import gc
import secrets
from base64 import b32encode
from collections import Counter
from collections.abc import Callable, Iterator
from time import monotonic
from zlib import crc32

import structlog

from sfu.descriptions import Local
from sfu.dtls import SharedCertificate
from sfu.encoding import Encoding
from sfu.feedback_socket import BATCH, MAX_PER_TICK
from sfu.figures import RoomFigures
from sfu.inbound import Inbound
from sfu.network import Network
from sfu.outbound import TICK_S
from sfu.room import Room
from sfu.settings import MediaSettings
from sfu.slices import Slices
from sfu.stats import room_figures
from sfu.transport import Transport

log = structlog.get_logger()

REPAIR_S = 0.01
"""Interval at which missing packets are asked for, while there are any: as long as the shortest wait for one that was
merely overtaken (sfu.nack). With a round trip of 50 ms half of what is lost is back in 60 ms, at TICK_S alone in 100;
at 10 % loss 99 of 100 are in 217 ms and in 300 (tests/impairment/test_random_loss.py)."""

EARLY_S = 0.015
"""A tick comes so much before its time if the loop is awake then: to wake up from idle, with what has left the caches,
costs as much as the tick itself. It is as often all the same."""

LAYER_TICKS = 5
"""Layers are chosen four times a second."""

REPORT_TICKS = 20
"""Receiver and sender reports, and the quality of connections (0.8 ms for a room of ten), once a second, spread over
the ticks."""

COLLECT_S = 1.0
"""After the last room closed: what its participants leave behind refers to each other in circles, and a node where
nobody is can take the time to find it. With rooms open the interpreter does so when there is enough of it."""


class Sfu:
    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._touched: list[Encoding] = []
        self._network = Network(settings.port, settings.advertise, self._flush, tcp=settings.tcp)
        self._certificate = SharedCertificate.generateCertificate()
        fingerprints = self._certificate.getFingerprints()
        self._fingerprint = next(f.value for f in fingerprints if f.algorithm == "sha-256")
        self._transports: dict[Transport, int] = {}
        """With the tick of the second on which each reports."""
        self._events: Counter[str] = Counter()
        """What is counted of rooms, and of transports that ended."""
        self._finishing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._repair_timer: asyncio.TimerHandle | None = None
        """While packets are missing."""
        self._collect_timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._tick_due = float("inf")
        """Infinite before the start and after the end."""
        self._slices = Slices(lambda call: asyncio.get_running_loop().call_soon(call), monotonic)
        self.rooms: dict[str, Room] = {}
        self._broken: set[str] = set()
        """Of these, the ones whose duties failed: that is logged once, and counted."""

    @property
    def port(self) -> int:
        return self._network.port

    async def start(self) -> None:
        """Bind the media port. Raises OSError."""
        self._network.start()
        self._tick_due = monotonic()
        self._tick()
        log.info("media_started", port=self.port, addresses=[host for host, _ in self._network.candidates])

    async def close(self) -> None:
        for room in list(self.rooms.values()):
            room.close()
        for timer in (self._timer, self._repair_timer, self._collect_timer):
            if timer is not None:
                timer.cancel()
        self._tick_due = float("inf")
        self._slices.stop()
        for transport in list(self._transports):
            transport.close()
        if self._finishing:
            await asyncio.wait(self._finishing)
        self._network.close()

    def open_room(self, room_id: str) -> Room:
        """The room of this id, made on first call."""
        room = self.rooms.get(room_id)
        if room is None:
            room = self.rooms[room_id] = Room(
                room_id,
                self._settings,
                self._new_transport,
                self._local,
                _new_track_id,
                self._touched,
                self._events,
            )
        return room

    def close_room(self, room_id: str) -> None:
        room = self.rooms.pop(room_id, None)
        self._broken.discard(room_id)
        if room is not None:
            room.close()
            if not self.rooms and self._collect_timer is None:
                self._collect_timer = asyncio.get_running_loop().call_later(COLLECT_S, self._collect)

    def _collect(self) -> None:
        self._collect_timer = None
        if not self.rooms:
            gc.collect()

    def counters(self) -> dict[str, int]:
        """Datagrams and packets received, sent, dropped and repaired, and limits reached (`limit_` and
        `sfu.interfaces.Limit`), since the start."""
        totals = Counter(self._network.counters())
        totals.update(self._events)
        for transport in self._transports:
            totals.update(transport.counters())
        return totals

    def figures(self, room_id: str) -> RoomFigures | None:
        """None: no such room."""
        room = self.rooms.get(room_id)
        return room_figures(room, monotonic()) if room is not None else None

    # --- inside

    def _flush(self, now: float) -> None:
        """End of a wakeup of a socket."""
        touched = self._touched
        if touched:
            missing = False
            for encoding in touched:
                encoding.flush()
                if encoding.missing.holes:
                    missing = True
            touched.clear()
            if missing and self._repair_timer is None:
                self._repair_timer = asyncio.get_running_loop().call_later(REPAIR_S, self._repair)
        if now >= self._tick_due - EARLY_S:
            self._tick()

    def _repair(self) -> None:
        now = monotonic()
        missing = False
        for transport in list(self._transports):
            try:
                missing |= transport.repair(now)
            except Exception:  # a broken invariant costs one transport, never the node
                log.exception("transport_failed")
                transport.fail()
        self._repair_timer = asyncio.get_running_loop().call_later(REPAIR_S, self._repair) if missing else None

    def _tick(self) -> None:
        now = monotonic()
        self._tick_due = max(self._tick_due + TICK_S, now + TICK_S / 2)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._tick_due - now, self._tick)
        self._ticks += 1
        self._slices.begin(self._duties(self._ticks))

    def _duties(self, tick: int) -> Iterator[None]:
        """Of one tick, mostly less than 0.6 ms from yield to yield. Estimates come before what is decided with them."""
        left = MAX_PER_TICK
        while left > 0 and (came := self._network.read_feedback(min(left, BATCH))):
            left -= came
            yield
        phase = tick % REPORT_TICKS
        for room in list(self.rooms.values()):
            try:
                now = monotonic()
                room.listen(now)
                yield
                if tick % LAYER_TICKS == 0:
                    room.watch_captures(now)
                    yield
                    yield from room.choose_layers(now)
                else:
                    yield from room.hurry(now)
                if crc32(room.room_id.encode()) % REPORT_TICKS == phase:
                    yield from room.look(now)
            except Exception:  # costs this room, in this tick, and no other
                self._events["room_failures"] += 1
                if room.room_id not in self._broken:
                    self._broken.add(room.room_id)
                    log.exception("room_failed", room_id=room.room_id)
        for transport, turn in list(self._transports.items()):
            try:
                transport.tick(monotonic(), report=turn == phase)
            except Exception:  # a broken invariant costs one transport, never the node
                log.exception("transport_failed")
                transport.fail()
            yield

    def _new_transport(self, inbound: Inbound, on_state: Callable[[Transport], None]) -> Transport:
        def changed(transport: Transport) -> None:
            if transport.state in ("failed", "closed") and self._transports.pop(transport, None) is not None:
                self._events.update(transport.counters())
                task = asyncio.get_running_loop().create_task(transport.finish())
                self._finishing.add(task)
                task.add_done_callback(self._finishing.discard)
            on_state(transport)

        incoming_bps = self._settings.limits.incoming_bps
        transport = Transport(self._network, self._certificate, inbound, changed, incoming_bps, monotonic())
        self._transports[transport] = secrets.randbelow(REPORT_TICKS)
        return transport

    def _local(self, transport: Transport) -> Local:
        return Local(
            transport.ice.ufrag, transport.ice.password, self._fingerprint, self._network.candidates, self._network.tcp
        )


def _new_track_id() -> str:
    return f"t_{b32encode(secrets.token_bytes(10)).decode().lower()}"
