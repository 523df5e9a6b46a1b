"""A call on a bad network in virtual time: the program's media plane between a modelled publisher and modelled viewers.

What runs is the program's own: `Sfu` with its rooms, transports and their duties at their intervals; ICE checks and
SRTP are real, keys come from nowhere instead of from DTLS, and datagrams travel over `network_model` links. All
chance is drawn by the seed: a plan gives the same result every time. Minutes take seconds. A recording is on from the
beginning: `recorded` has what the taps were given.
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from unittest.mock import patch

import sfu.engine
import sfu.room
import sfu.subscriber
import sfu.transport
from recorder.journal import JournalPacket
from recorder.reorder import Missing, OrderedPacket, Reorder
from recorder.settings import RecorderSettings
from sfu.engine import Sfu
from sfu.ice import Address, username
from sfu.interfaces import (
    DeliveryState,
    StreamInfo,
    SubscribedTrack,
    TrackInfo,
    TrackKind,
    TrackRequest,
    TransportName,
)
from sfu.room import Peer
from sfu.settings import MediaSettings
from sfu.srtp import MasterKeys
from sfu.transport import Transport
from tests.support import sdp
from tests.support.modelled_peers import Publisher, Secured, Viewer
from tests.support.network_model import Conditions, Link, Network
from tests.support.taps import QuietSink, QuietTap

REQUESTS = (TrackRequest("0", TrackKind.MICROPHONE), TrackRequest("1", TrackKind.CAMERA))
MODULES = (sfu.engine, sfu.room, sfu.subscriber, sfu.transport)
"""They look at the clock, or start timers."""


class Port:
    """In place of the node's UDP socket: splits what comes as it does, and puts what goes out on the links."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.media: dict[Address, Callable[[bytes, float], None]] = {}
        self.dtls: dict[Address, Callable[[bytes], None]] = {}
        self.by_ufrag: dict[str, Transport] = {}
        self.down: dict[Address, Link] = {}
        self.on_wakeup: Callable[[float], None] = lambda _now: None

    def claim(self, address: Address, owner: object, now: float) -> bool:
        return True

    def forget(self, address: Address) -> None:
        self.media.pop(address, None)
        self.dtls.pop(address, None)

    def send(self, data: bytes, address: Address) -> bool:
        link = self.down.get(address)
        if link is not None:
            link.send(data)
        return True

    def send_run(self, buffers: list[bytes], count: int, address: Address) -> None:
        for place in range(0, 2 * count, 2):
            self.send(buffers[place] + buffers[place + 1], address)

    def receive(self, data: bytes, address: Address) -> None:
        now = self._network.now
        if data[0] < 4:
            transport = self.by_ufrag.get(username(data) or "")
            if transport is not None:
                transport.check(self, data, address, now)  # type: ignore[arg-type]
        elif deliver := self.media.get(address):
            deliver(data, now)
        self.on_wakeup(now)


class _NoDtls:
    """A handshake that is over before it begins."""

    state = "connected"

    def __init__(self, keys: MasterKeys) -> None:
        self._keys = keys

    async def handshake(self, _fingerprints: object) -> MasterKeys:
        return self._keys

    async def stop(self) -> None: ...

    def close_notify(self) -> list[bytes]:
        return []


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class _Done:
    """A task that has ended."""

    def add_done_callback(self, call: Callable[["_Done"], None]) -> None:
        call(self)


class _Loop:
    """What the engine asks of its event loop, in virtual time; nothing that it starts here waits."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def get_running_loop(self) -> "_Loop":
        return self

    def call_later(self, seconds: float, call: Callable[..., None], *args: object) -> _Timer:
        timer = _Timer()
        self._network.after(seconds, lambda: None if timer.cancelled else call(*args))
        return timer

    def create_task(self, work: Coroutine[None, None, None]) -> _Done:
        try:
            work.send(None)
        except StopIteration:
            return _Done()
        raise AssertionError("it waits")

    async def wait(self, _tasks: object) -> None: ...


@dataclass
class Recorded(QuietTap):
    """What one tap was given."""

    stream: StreamInfo
    opened_s: float
    packets: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    """Arrival, index, RTP timestamp, payload."""
    reports: list[tuple[float, int, int]] = field(default_factory=list)
    ended: bool = False

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        self.packets.append((arrival_s, index, timestamp, payload))

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        self.reports.append((arrival_s, ntp_timestamp, rtp_timestamp))

    def end(self, now_s: float) -> None:
        self.ended = True

    def in_order(self) -> tuple[list[JournalPacket], int, Reorder]:
        """As the recorder puts it in order with its own wait: packets, how many are missing, and its counters."""
        reorder = Reorder(int(RecorderSettings().gap_wait_s * 1e9))
        given: list[OrderedPacket | Missing] = []
        for arrival_s, index, timestamp, payload in self.packets:
            given += reorder.push(JournalPacket(int(arrival_s * 1e9), index, timestamp, False, payload))
        given += reorder.flush()
        ordered = [item.packet for item in given if isinstance(item, OrderedPacket)]
        return ordered, sum(item.packets for item in given if isinstance(item, Missing)), reorder


@dataclass
class Ends:
    """Someone's line to the node: what goes up and what comes down."""

    up: Link
    down: Link

    def change(self, conditions: Conditions) -> None:
        self.up.change(conditions)
        self.down.change(conditions)


class _Observer:
    def __init__(self, network: Network) -> None:
        self._network = network
        self.deliveries: list[tuple[float, DeliveryState]] = []
        self.offer: tuple[int, str] | None = None
        self.states: list[tuple[TransportName, str]] = []

    def subscribe_offer(self, offer_id: int, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        self.offer = (offer_id, sdp)

    def track_published(self, track: TrackInfo) -> None: ...

    def track_unpublished(self, track: TrackInfo) -> None: ...

    def connection_state(self, transport: TransportName, state: str) -> None:
        self.states.append((transport, state))

    def delivery(self, track_id: str, state: DeliveryState) -> None:
        self.deliveries.append((self._network.now, state))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_named: None


class ImpairedCall(QuietSink):
    """`with ImpairedCall() as call:` `call.publish(...)`, `call.watch(...)`, then `call.run(until_s)`."""

    def __init__(self, seed: int = 1, settings: MediaSettings | None = None) -> None:
        self.network = Network()
        self.port = Port(self.network)
        self.recorded: dict[str, list[Recorded]] = {"opus": [], "vp8": []}
        self.lines: dict[str, Ends] = {}
        self.states: dict[str, list[tuple[TransportName, str]]] = {}
        self.deliveries: dict[str, list[tuple[float, DeliveryState]]] = {}
        """What each was told of the pictures that it is sent."""
        self._seed = seed
        self._stack = ExitStack()
        self._settings = settings or MediaSettings(port=0, advertise=("192.0.2.1:8189",))
        self._addresses = 0

    def __enter__(self) -> "ImpairedCall":
        loop, chance = _Loop(self.network), random.Random(self._seed)
        for name, draw in (
            ("randbelow", chance.randrange),
            ("randbits", chance.getrandbits),
            ("token_bytes", chance.randbytes),
            ("token_hex", lambda size: chance.randbytes(size).hex()),
        ):
            self._stack.enter_context(patch(f"secrets.{name}", draw))
        for module in MODULES:
            if hasattr(module, "asyncio"):
                self._stack.enter_context(patch.object(module, "asyncio", loop))
            if hasattr(module, "monotonic"):
                self._stack.enter_context(patch.object(module, "monotonic", lambda: self.network.now))
        self.sfu = Sfu(self._settings)
        self.room = self.sfu.open_room("r")
        self.room.start_recording(self)
        self.port.on_wakeup = self.sfu._flush
        self.sfu._tick_due = self.network.now
        self.sfu._tick()
        return self

    def __exit__(self, *_: object) -> None:
        self.room.close()
        self._stack.close()

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> Recorded:
        """RecordingSink."""
        recorded = Recorded(stream, now_s)
        self.recorded[stream.codec].append(recorded)
        return recorded

    # --- who takes part

    def publish(self, publisher: Publisher, conditions: Conditions, name: str = "publisher") -> Publisher:
        peer = self._peer(name)
        offer = publisher.offer(sdp.Credentials("ufrag", "p" * 24, "AA:BB"))
        answer = sdp.Description.parse(peer.publish(offer, REQUESTS))
        transport = peer.publisher.transport
        assert transport is not None
        self._connect(name, transport, publisher, answer, conditions)
        publisher.start()
        return publisher

    def watch(self, viewer: Viewer, conditions: Conditions, name: str = "viewer") -> Viewer:
        peer = self._peer(name)
        peer.start_subscriptions()
        observer = peer.observer
        assert isinstance(observer, _Observer)
        assert observer.offer is not None
        offer_id, text = observer.offer
        offered = sdp.Description.parse(text)
        peer.subscribe_answer(offer_id, sdp.answer(sdp.Credentials("ufrag", "p" * 24, "CC:DD"), offered))
        for media in offered.media:
            ssrcs = media.ssrcs()
            if media.kind == "audio":
                viewer.audio_ssrc = ssrcs[0]
            else:
                viewer.video_ssrc, viewer.rtx_ssrc = ssrcs
        transport = peer.subscriber.transport
        assert transport is not None
        self._connect(name, transport, viewer, offered, conditions)
        viewer.start()
        return viewer

    def move(self, name: str) -> None:
        """Its address changes, as behind a NAT that forgot it: what is sent to the old one is lost, and the node learns
        of the new one by the next check."""
        line = self.lines[name]
        old = next(address for address, link in self.port.down.items() if link is line.down)
        del self.port.down[old]
        address = self._address()
        self.port.down[address] = line.down
        line.up._deliver = lambda datagram: self.port.receive(datagram, address)

    def run(self, until_s: float) -> None:
        """Until so many seconds after the beginning."""
        self.network.run(until_s)

    def _peer(self, name: str) -> Peer:
        observer = _Observer(self.network)
        self.states[name] = observer.states
        self.deliveries[name] = observer.deliveries
        return self.room.add_peer(name, observer)

    def _address(self) -> Address:
        self._addresses += 1
        return ("198.51.100.1", 40_000 + self._addresses)

    def _connect(
        self, name: str, transport: Transport, peer: Secured, remote: sdp.Description, conditions: Conditions
    ) -> None:
        transport._dtls = _NoDtls(peer.keys_of_server)  # type: ignore[assignment]
        address, seed = self._address(), self._seed * 1000 + 10 * self._addresses
        up = Link(self.network, lambda datagram: self.port.receive(datagram, address), seed=seed)
        down = Link(self.network, peer.receive, seed=seed + 1)
        self.lines[name] = Ends(up, down)
        self.port.down[address] = down
        self.port.by_ufrag[transport.ice.ufrag] = transport
        peer.send = up.send
        peer.begin_checks(remote.first("ice-ufrag"), remote.first("ice-pwd"))
        peer.check()
        self.network.run(self.network.elapsed_s + 0.1)
        assert transport.state == "connected"
        self.lines[name].change(conditions)
