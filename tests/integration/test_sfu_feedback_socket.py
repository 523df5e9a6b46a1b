"""Which of the two sockets of a media address gets what, and when it is read."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from time import monotonic

import pytest

from sfu import engine, feedback_socket, slices
from sfu.engine import Sfu
from sfu.ice import Address
from sfu.rtcp import nack
from sfu.settings import MediaSettings
from sfu.twcc import ArrivalLog
from sfu.udp import UdpSocket

TRAILERS = {"AES-GCM": 20, "AES-CM with SHA-1": 14}


def report(packets: int = 5) -> bytes:
    log = ArrivalLog()
    log.arrivals += [(number, 1.0 + number / 1000) for number in range(packets)]
    packet = log.take_feedback(1, 2)
    assert packet is not None
    return packet


URGENT = {
    "a request for packets": nack(1, 2, [7]) + bytes(20),
    "a request behind a report": report() + nack(1, 2, [7]) + bytes(14),
    "a request before a report": nack(1, 2, [7]) + report() + bytes(20),
    "a receiver report": bytes((0x81, 201, 0, 7)) + bytes(28 + 20),
    "media": bytes((0x80, 0xE0)) + bytes(1100),
    "media with the numbers of a report": bytes((0x9F, 205)) + bytes(1100),
    "a single byte": b"\x8f",
    "two bytes of a report": b"\x8f\xcd",
}


class Peer:
    """A socket that passed a check, and what the media port handed on of it."""

    def __init__(self, bound: UdpSocket, family: int) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.connect((bound.host, bound.port))
        self.got: list[tuple[bytes, float]] = []
        address: Address = self.socket.getsockname()
        bound.media[address] = lambda data, now: self.got.append((data, now))


@pytest.fixture(params=["127.0.0.1", "::1"])
async def bound(request: pytest.FixtureRequest) -> AsyncIterator[UdpSocket]:
    made = UdpSocket(request.param, 0, lambda *_: None, lambda _: None)
    loop = asyncio.get_running_loop()
    made.start(loop)
    yield made
    made.close(loop)


@pytest.fixture
def peer(bound: UdpSocket) -> Iterator[Peer]:
    made = Peer(bound, bound.socket.family)
    yield made
    made.socket.close()


async def woken(bound: UdpSocket, peer: Peer) -> None:
    """Everything that was sent before is in one of the sockets: one more datagram came by the first."""
    before = len(peer.got)
    peer.socket.send(bytes((0x80, 0)) + bytes(50))
    async with asyncio.timeout(5):
        while len(peer.got) == before or peer.got[-1][0][1] != 0:
            await asyncio.sleep(0)
    peer.got.pop()


@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("packets", [1, 2, 5, 200])
async def test_a_report_alone_waits_for_the_tick_and_tells_when_it_came(
    bound: UdpSocket, peer: Peer, packets: int, trailer: int
) -> None:
    datagram = report(packets) + bytes(trailer)
    before = monotonic()
    peer.socket.send(datagram)
    after = monotonic()
    await woken(bound, peer)
    assert peer.got == []
    bound.read_feedback(100)
    ((data, arrival),) = peer.got
    assert data == datagram
    assert before - 0.001 < arrival < after + 0.001
    assert bound.received == 2


@pytest.mark.parametrize("datagram", URGENT.values(), ids=URGENT.keys())
async def test_everything_else_is_read_at_once(bound: UdpSocket, peer: Peer, datagram: bytes) -> None:
    peer.socket.send(datagram)
    await woken(bound, peer)
    assert [data for data, _ in peer.got] == [datagram]
    bound.read_feedback(100)
    assert len(peer.got) == 1


async def test_a_report_from_nobody_is_counted_and_goes_nowhere(bound: UdpSocket, peer: Peer) -> None:
    del bound.media[peer.socket.getsockname()]
    peer.socket.send(report() + bytes(20))
    async with asyncio.timeout(5):
        while not bound.received:
            bound.read_feedback(100)
            await asyncio.sleep(0)
    assert (bound.received, bound.dropped_source, peer.got) == (1, 1, [])


async def test_no_more_is_read_than_is_asked_for(bound: UdpSocket, peer: Peer) -> None:
    for _ in range(5):
        peer.socket.send(report() + bytes(20))
    await woken(bound, peer)
    assert bound.read_feedback(3) == len(peer.got) == 3
    assert bound.read_feedback(3) == 2
    assert len(peer.got) == 5


async def test_a_tick_reads_its_share_and_lets_media_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH", 3)
    monkeypatch.setattr(engine, "MAX_PER_TICK", 8)
    monkeypatch.setattr(engine, "TICK_S", 60.0)
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await running.start()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(10):
        sender.sendto(report() + bytes(20), ("127.0.0.1", running.port))
    read: list[int] = []
    running._tick()
    while not read or read[-1] != running.counters()["received"]:
        read.append(running.counters()["received"])
        await asyncio.sleep(0)
    assert read == [3, 6, 8]
    running._tick()
    assert running.counters()["received"] == 10
    sender.close()
    await running.close()


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
async def test_a_step_of_the_wall_clock_moves_an_arrival_by_no_more_than_a_few_ticks(
    bound: UdpSocket, peer: Peer, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    wall = feedback_socket.time
    peer.socket.send(report() + bytes(20))
    await woken(bound, peer)
    monkeypatch.setattr(feedback_socket, "time", lambda: wall() + step_s)
    bound.read_feedback(100)
    now = monotonic()
    ((_, arrival),) = peer.got
    assert now - feedback_socket.MAX_AGE_S - 0.1 <= arrival <= now


async def test_where_the_kernel_cannot_choose_reports_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_socket, "_SO_ATTACH_REUSEPORT_CBPF", 9999)
    bound = UdpSocket("127.0.0.1", 0, lambda *_: None, lambda _: None)
    bound.start(asyncio.get_running_loop())
    peer = Peer(bound, socket.AF_INET)
    datagrams = [bytes((0x8F, 205)) + report()[2:] + bytes(20) for _ in range(50)]
    for datagram in datagrams:
        peer.socket.send(datagram)
    await woken(bound, peer)
    assert [data for data, _ in peer.got] == datagrams
    bound.read_feedback(100)
    bound.close(asyncio.get_running_loop())
    peer.socket.close()


async def test_a_port_that_is_taken_is_noticed_all_the_same(bound: UdpSocket) -> None:
    with pytest.raises(OSError, match="in use"):
        UdpSocket(bound.host, bound.port, lambda *_: None, lambda _: None)
