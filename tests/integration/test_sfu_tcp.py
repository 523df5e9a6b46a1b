"""Media over TCP (RFC 6544, RFC 4571) with real sockets: what works, and what strangers can and cannot do."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aioice import stun

import sfu.tcp
from sfu.engine import Sfu
from sfu.interfaces import TransportName
from sfu.settings import MediaSettings
from sfu.tcp import TcpSocket
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.raw_tcp import RawTcpTransport, passive_candidates
from tests.support.raw_transport import RawTransport
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import vp8, vp8_picture

AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)
WAIT_S = 10.0


@pytest.fixture
async def sfu_() -> AsyncIterator[Sfu]:
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await running.start()
    yield running
    await running.close()


def listener(sfu: Sfu) -> TcpSocket:
    (only,) = sfu._network._listeners
    return only


async def holds(condition: Callable[[], object]) -> None:
    """Give the loop its turns until the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


class Call:
    def __init__(self, sfu: Sfu, alice: SfuClient, bob: SfuClient, senders: list[RtpSender]) -> None:
        self.sfu, self.alice, self.bob = sfu, alice, bob
        self.audio, self.video = senders
        self.sent = 0

    async def still_works(self) -> None:
        """Sound passes, in order and once."""
        expected = [b"\x78%d" % (self.sent + n) for n in range(5)]
        for payload in expected:
            self.audio.send(payload, 960 * self.sent)
            self.sent += 1
        await self.bob.until(lambda: expected[-1] in self.heard())
        assert self.heard() == [b"\x78%d" % n for n in range(self.sent)]

    def heard(self) -> list[bytes]:
        return [payload for _, _, _, payload in self.bob.got if payload[:1] == b"\x78"]


@asynccontextmanager
async def established(
    sfu: Sfu, alice: Callable[[], RawTransport], bob: Callable[[], RawTransport]
) -> AsyncIterator[Call]:
    room = sfu.open_room("r")
    publisher, viewer = SfuClient(room, "alice", alice), SfuClient(room, "bob", bob)
    senders = await publisher.publish(AUDIO, VIDEO)
    await viewer.subscribe()
    call = Call(sfu, publisher, viewer, senders)
    await call.still_works()
    yield call
    await call.still_works()
    await publisher.close()
    await viewer.close()


@pytest.fixture
async def call(sfu_: Sfu) -> AsyncIterator[Call]:
    async with established(sfu_, RawTcpTransport, RawTcpTransport) as running:
        yield running


class Stranger:
    """A connection of somebody who is nobody's participant."""

    def __init__(self, sfu: Sfu) -> None:
        self.socket = socket.create_connection(("127.0.0.1", sfu.port))
        self.socket.setblocking(False)

    def send(self, *datagrams: bytes) -> None:
        self.socket.sendall(b"".join(len(d).to_bytes(2, "big") + d for d in datagrams))

    def is_closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()


# --- what works


@pytest.mark.parametrize(
    ("alice", "bob"),
    [(RawTcpTransport, RawTcpTransport), (RawTcpTransport, RawTransport), (RawTransport, RawTcpTransport)],
    ids=["both over tcp", "publisher over tcp", "viewer over tcp"],
)
async def test_sound_and_pictures_pass_and_runs_of_packets_are_framed_one_by_one(
    sfu_: Sfu, alice: Callable[[], RawTransport], bob: Callable[[], RawTransport]
) -> None:
    async with established(sfu_, alice, bob) as call:
        for n in range(20):
            call.video.send_frame(vp8_picture(n, 6, key=n == 0), 3000 * n)
        await call.bob.until(lambda: len(call.bob.got) == 5 + 120)
        pictures = [payload for _, _, _, payload in call.bob.got[5:]]
        assert all(len(payload) >= 900 for payload in pictures)
        assert call.bob.subscribing.counters["bad_rtcp"] == 0
        states = [*call.alice.states, *call.bob.states]
        assert [state for _, state in states] == ["connecting", "connected"] * 2


async def test_the_listener_has_the_number_of_the_udp_port_and_its_candidates_come_last(sfu_: Sfu) -> None:
    client = SfuClient(sfu_.open_room("r"), "alice")
    await client.publish(AUDIO)
    answer = sdp.Description.parse(client.peer.publish(sdp.offer(client.publishing.credentials, [AUDIO]), []))
    assert answer.candidates() == passive_candidates(answer) == [("127.0.0.1", sfu_.port)]
    lines = answer.media[0].values("candidate")
    priorities = [int(line.split()[3]) for line in lines]
    assert priorities == sorted(priorities, reverse=True)
    assert [line.split()[2] for line in lines] == ["udp", "tcp"]
    assert len({line.split()[0] for line in lines}) == 2, "foundations differ"
    await client.close()


async def test_without_tcp_nobody_listens_and_nothing_is_offered() -> None:
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), tcp=False))
    await running.start()
    client = SfuClient(running.open_room("r"), "alice")
    answer = sdp.Description.parse(client.peer.publish(sdp.offer(client.publishing.credentials, [AUDIO]), []))
    assert passive_candidates(answer) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))
    await client.close()
    await running.close()


async def test_a_port_that_is_taken_on_tcp_is_refused_by_name_and_any_port_avoids_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        running = Sfu(MediaSettings(port=number, advertise=("127.0.0.1",)))
        with pytest.raises(OSError, match="in use"):
            await running.start()
        await running.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", number))  # nothing of the attempt is left


async def test_closing_a_peer_closes_its_connections_and_a_peer_that_closes_is_forgotten(sfu_: Sfu) -> None:
    room = sfu_.open_room("r")
    client = SfuClient(room, "alice", RawTcpTransport)
    await client.publish(AUDIO)
    assert len(listener(sfu_).connections) == 1
    room.remove_peer("alice")
    assert listener(sfu_).connections == {}
    await holds(lambda: client.publishing.counters["ended"] == 1)
    await client.close()
    other = SfuClient(room, "bob", RawTcpTransport)
    await other.publish(AUDIO)
    other.publishing.socket.shutdown(socket.SHUT_RDWR)
    await holds(lambda: not listener(sfu_).connections)
    assert (listener(sfu_).media, listener(sfu_).dtls, listener(sfu_)._hosts) == ({}, {}, {})
    await other.close()


async def test_one_who_moves_from_udp_to_tcp_goes_on_without_a_new_handshake(sfu_: Sfu) -> None:
    async with established(sfu_, RawTransport, RawTransport) as call:
        raw = call.bob.subscribing
        moved = RawTcpTransport()
        moved.socket.close()
        moved.socket = socket.create_connection(("127.0.0.1", sfu_.port))
        moved.socket.setblocking(False)
        moved._remote, moved.credentials = raw._remote, raw.credentials
        moved.incoming, moved.outgoing, moved.listener = raw.incoming, raw.outgoing, raw.listener
        moved.on_activity = raw.on_activity
        asyncio.get_running_loop().add_reader(moved.socket.fileno(), moved._readable)
        moved._send_check()
        await holds(moved._answered.is_set)
        await call.still_works()
        assert sum(stream.packets for stream in moved.streams.values()) == 5
        assert (TransportName.SUBSCRIBE, "failed") not in call.bob.states
        raw._send_check()  # and back
        await holds(lambda: call.bob.peer.subscriber.transport.address == raw.socket.getsockname())  # type: ignore[union-attr]
        await moved.close()


# --- framing


async def test_a_stream_cut_at_every_byte_is_followed(call: Call) -> None:
    raw = call.alice.publishing
    whole = b""
    count = 12
    for n in range(count):
        packet = call.audio.seal(b"\x78%d" % (call.sent + n), 960 * (call.sent + n))
        whole += len(packet).to_bytes(2, "big") + packet
    call.sent += count
    for place in range(len(whole)):
        raw.socket.send(whole[place : place + 1])
        if place % 50 == 0:
            await asyncio.sleep(0)
    await call.bob.until(lambda: len(call.heard()) == call.sent)


async def test_a_frame_longer_than_any_datagram_ends_that_connection_alone(sfu_: Sfu, call: Call) -> None:
    stranger = Stranger(sfu_)
    stranger.socket.send(b"\x05\xdd")
    await holds(stranger.is_closed)
    assert sfu_.counters()["tcp_closed_framing"] == 1
    stranger.close()


async def test_garbage_is_dropped_counted_and_answered_by_nothing(sfu_: Sfu, call: Call) -> None:
    noise = random.Random(1)
    before = sfu_.counters()
    stranger = Stranger(sfu_)
    frames = [b"", b"\x80", b"\x16\xfe\xfd" + bytes(30), b"\x90\x6f" + noise.randbytes(80), b"\x40" + bytes(9), b"\xff"]
    stranger.send(*frames, b"\x00\x01" + bytes(18), noise.randbytes(1500))
    await holds(lambda: sfu_.counters()["received"] >= before["received"] + len(frames) + 2)
    grown = {name: sfu_.counters()[name] - before[name] for name in ("dropped_size", "dropped_source", "dropped_kind")}
    assert grown["dropped_size"] == 1
    assert grown["dropped_source"] >= 3
    assert grown["dropped_kind"] >= 2
    assert not stranger.is_closed()
    stranger.close()
    for seed in range(50):
        noisy = Stranger(sfu_)
        try:
            noisy.socket.send(random.Random(seed).randbytes(4000))
        except ConnectionError:
            pass
        await call.still_works()
        noisy.close()
    await holds(lambda: len(listener(sfu_).connections) == 2)


# --- strangers


async def test_a_connection_without_a_valid_check_is_good_for_nothing(sfu_: Sfu, call: Call) -> None:
    """Not even for media with the right keys."""
    before = sfu_.counters()["dropped_source"]
    stranger = Stranger(sfu_)
    assert call.alice.publishing.outgoing is not None
    sealed = [call.audio.seal(b"\x78%d" % (call.sent + n), 960 * (call.sent + n)) for n in range(5)]
    stranger.send(*sealed)
    await holds(lambda: sfu_.counters()["dropped_source"] == before + 5)
    for packet in sealed:
        call.alice.publishing.send_datagram(packet)
    call.sent += 5
    await call.bob.until(lambda: len(call.heard()) == call.sent)
    stranger.close()


async def test_a_connection_is_closed_at_its_deadline_unless_it_was_checked(sfu_: Sfu, call: Call) -> None:
    """The slow one too: a byte now and then buys no time. Time is not waited for but told."""
    quiet, slow = Stranger(sfu_), Stranger(sfu_)
    await holds(lambda: len(listener(sfu_).connections) == 4)
    slow.socket.send(b"\x00")
    now = asyncio.get_running_loop().time()
    opened = [connection.opened for connection in listener(sfu_).connections.values()]
    assert all(now - 5 < at <= now for at in opened)
    listener(sfu_).sweep(min(opened[2:]) + sfu.tcp.CHECK_S)
    assert len(listener(sfu_).connections) == 4
    slow.socket.send(b"\x20")
    listener(sfu_).sweep(max(opened) + sfu.tcp.CHECK_S + 0.1)
    assert len(listener(sfu_).connections) == 2
    await holds(quiet.is_closed)
    await holds(slow.is_closed)
    assert sfu_.counters()["tcp_closed_unchecked"] == 2
    quiet.close()
    slow.close()


async def test_idle_connections_are_capped_by_closing_the_oldest_and_keep_nobody_out(
    sfu_: Sfu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sfu.tcp, "MAX_UNCHECKED", 8)
    idle = []
    for n in range(30):
        idle.append(Stranger(sfu_))
        await holds(lambda n=n: listener(sfu_).accepted == n + 1)  # type: ignore[misc]
    assert len(listener(sfu_).connections) == 8
    assert sfu_.counters()["tcp_closed_unchecked"] == 22
    async with established(sfu_, RawTcpTransport, RawTcpTransport):
        assert len(listener(sfu_).dtls) == 2
    for stranger in idle:
        stranger.close()


@pytest.mark.parametrize("cap", ["MAX_CONNECTIONS", "MAX_PER_HOST"])
async def test_more_connections_than_the_cap_are_refused_and_running_ones_go_on(
    sfu_: Sfu, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    async with established(sfu_, RawTcpTransport, RawTcpTransport):
        monkeypatch.setattr(sfu.tcp, cap, 5)
        strangers = [Stranger(sfu_) for _ in range(10)]
        await holds(lambda: listener(sfu_).refused == 7)
        assert len(listener(sfu_).connections) == 5
        for stranger in strangers:
            stranger.close()
        await holds(lambda: len(listener(sfu_).connections) == 2)
        newcomer = SfuClient(sfu_.open_room("r"), "carol", RawTcpTransport)
        await newcomer.publish(AUDIO)
        await newcomer.close()
    await holds(lambda: listener(sfu_)._hosts == {})


async def test_one_who_reads_nothing_has_its_packets_dropped_and_is_closed_and_others_notice_nothing(
    sfu_: Sfu,
) -> None:
    async with established(sfu_, RawTransport, RawTransport) as call:
        room = sfu_.open_room("r")
        deaf = SfuClient(room, "deaf", RawTcpTransport)
        await deaf.subscribe()
        asyncio.get_running_loop().remove_reader(deaf.subscribing.socket.fileno())
        (connection,) = listener(sfu_).connections.values()
        sent = 0
        while not listener(sfu_).dropped_send:
            before = len(call.bob.got)
            for _ in range(20):
                call.video.send(vp8(sent, key=sent == 0, body=bytes(1100)), 3000 * sent, marker=True)
                sent += 1
            await call.bob.until(lambda before=before: len(call.bob.got) >= before + 20)  # type: ignore[misc]
        await call.still_works()
        assert len(connection.rest) <= 40 * 1502
        assert connection.stalled > 0
        listener(sfu_).sweep(connection.stalled + sfu.tcp.STALLED_S)
        assert listener(sfu_).connections
        listener(sfu_).sweep(connection.stalled + sfu.tcp.STALLED_S + 0.1)
        assert listener(sfu_).connections == {}
        assert sfu_.counters()["tcp_closed_stalled"] == 1
        await deaf.close()


async def test_one_who_reads_again_gets_whole_frames_after_what_was_dropped(sfu_: Sfu) -> None:
    async with established(sfu_, RawTransport, RawTransport) as call:
        slow = SfuClient(sfu_.open_room("r"), "slow", RawTcpTransport)
        await slow.subscribe()
        loop, raw = asyncio.get_running_loop(), slow.subscribing
        loop.remove_reader(raw.socket.fileno())
        sent = 0
        while not listener(sfu_).dropped_send:
            before = len(call.bob.got)
            for _ in range(20):
                call.video.send(vp8(sent, key=sent == 0, body=bytes(1100)), 3000 * sent, marker=True)
                sent += 1
            await call.bob.until(lambda before=before: len(call.bob.got) >= before + 20)  # type: ignore[misc]
        loop.add_reader(raw.socket.fileno(), raw._readable)
        (connection,) = listener(sfu_).connections.values()
        await holds(lambda: connection.stalled == 0.0)
        got = len(slow.got)
        await call.still_works()
        await slow.until(lambda: len(slow.got) >= got + 5)
        assert all(stream.undecryptable == 0 for stream in raw.streams.values())
        assert (raw.counters["unknown"], raw.counters["bad_rtcp"], raw.counters["ended"]) == (0, 0, 0)
        await slow.close()


async def test_a_flood_of_checks_over_tcp_gets_no_answer(sfu_: Sfu, call: Call) -> None:
    before = sfu_.counters()["refused_checks"]
    stranger = Stranger(sfu_)
    for n in range(200):
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{n:08x}:them"
        message.add_message_integrity(b"guess")
        stranger.send(bytes(message))
    await holds(lambda: sfu_.counters()["refused_checks"] == before + 200)
    with pytest.raises(BlockingIOError):
        stranger.socket.recv(1)
    stranger.close()
