"""The impairment proxy loses the same datagrams every time, and only media on the way in."""

import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import Disorder, DisorderPlan, ImpairmentProxy, Line, LossPlan, is_media

SRTP = bytes([0x90]) + bytes(40)
STUN = bytes([0x00, 0x01]) + bytes(18)
DTLS = bytes([0x16]) + bytes(40)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        yield bound


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        yield bound


def lost(seed: int, client: int, count: int = 2000) -> list[int]:
    plan = LossPlan(seed, client, 0.05)
    return [number for number in range(count) if plan.drops(SRTP)]


def test_the_same_seed_drops_the_same_datagrams() -> None:
    assert lost(1, 0) == lost(1, 0)


def test_seeds_and_clients_differ() -> None:
    assert lost(1, 0) != lost(2, 0)
    assert lost(1, 0) != lost(1, 1)


def test_the_fraction_is_kept() -> None:
    assert 0.04 < len(lost(3, 0, 20_000)) / 20_000 < 0.06


def test_what_is_not_media_neither_drops_nor_moves_the_plan_on() -> None:
    mixed = LossPlan(1, 0, 0.05)
    dropped, number = [], 0
    while number < 2000:
        assert not mixed.drops(STUN)
        assert not mixed.drops(DTLS)
        assert not mixed.drops(b"")
        if mixed.drops(SRTP):
            dropped.append(number)
        number += 1
    assert dropped == lost(1, 0)


@pytest.mark.parametrize(("first", "media"), [(0, 0), (22, 0), (127, 0), (128, 1), (191, 1), (192, 0)])
def test_media_is_what_rfc_7983_says(first: int, media: int) -> None:
    assert is_media(bytes([first])) is bool(media)


def test_both_directions_pass_and_media_in_is_lost_by_plan(server: socket.socket, client: socket.socket) -> None:
    expected_drops = set(lost(9, 0, 200))
    with ImpairmentProxy(loss=0.05, seed=9) as proxy:
        proxy.upstream = server.getsockname()
        arrived = []
        for number in range(200):
            client.sendto(SRTP + number.to_bytes(2, "big"), ("127.0.0.1", proxy.port))
            if number in expected_drops:
                continue
            data, address = server.recvfrom(2048)
            arrived.append(int.from_bytes(data[-2:], "big"))
            server.sendto(b"\x90back" + data[-2:], address)
            assert client.recv(2048) == b"\x90back" + data[-2:]
        client.sendto(STUN, ("127.0.0.1", proxy.port))
        assert server.recv(2048) == STUN
    assert arrived == [number for number in range(200) if number not in expected_drops]
    assert proxy.counters.media_in == 200
    assert proxy.counters.dropped_in == len(expected_drops)
    assert proxy.counters.passed_in == 200 - len(expected_drops) + 1
    assert proxy.counters.passed_out == len(arrived)


def test_a_thin_line_passes_what_its_rate_allows_in_order_and_drops_what_would_wait_too_long(
    server: socket.socket, client: socket.socket
) -> None:
    """1,000 bytes each: 10 ms at 800 kbit/s; of 40 at once those that would wait for more than 100 ms are dropped."""
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        proxy.upstream = server.getsockname()
        client.sendto(STUN, ("127.0.0.1", proxy.port))
        _, address = server.recvfrom(2048)
        proxy.out = Line(rate_bps=800_000, queue_s=0.1)
        began_s = time.monotonic()
        for number in range(40):
            server.sendto(b"\x90" + number.to_bytes(2, "big") + bytes(969), address)
        arrived = [int.from_bytes(client.recv(2048)[1:3], "big") for _ in range(11)]
        took_s = time.monotonic() - began_s
        assert proxy.counters.dropped_out + 11 <= 40
        proxy.out = Line()
        server.sendto(b"\x90\xff\xff", address)
        last = b""
        while last != b"\x90\xff\xff":
            last = client.recv(2048)
    assert arrived == sorted(arrived)
    assert arrived[:10] == list(range(10))
    assert took_s >= 0.1
    assert proxy.counters.dropped_out > 0


def test_a_thin_line_can_be_that_of_one_client_alone(server: socket.socket, client: socket.socket) -> None:
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        proxy.upstream = server.getsockname()
        client.sendto(STUN, ("127.0.0.1", proxy.port))
        _, address = server.recvfrom(2048)
        proxy.only = address[1] - 1
        proxy.out = Line(rate_bps=1.0)
        for _ in range(20):
            server.sendto(b"\x90" + bytes(999), address)
            assert len(client.recv(2048)) == 1000
    assert proxy.counters.dropped_out == 0


def test_each_client_has_an_upstream_address_of_its_own(server: socket.socket, client: socket.socket) -> None:
    with ImpairmentProxy(loss=0, seed=1) as proxy, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        proxy.upstream = server.getsockname()
        client.sendto(DTLS, ("127.0.0.1", proxy.port))
        _, first = server.recvfrom(2048)
        other.sendto(DTLS, ("127.0.0.1", proxy.port))
        _, second = server.recvfrom(2048)
        client.sendto(DTLS, ("127.0.0.1", proxy.port))
        _, again = server.recvfrom(2048)
    assert first == again
    assert first != second


def test_before_the_server_is_known_datagrams_are_refused_and_counted(client: socket.socket) -> None:
    deadline_s = time.monotonic() + 5
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        client.sendto(STUN, ("127.0.0.1", proxy.port))
        while not proxy.counters.refused and time.monotonic() < deadline_s:
            os.sched_yield()
    assert (proxy.counters.refused, proxy.counters.passed_in) == (1, 0)


def test_while_it_is_dark_nothing_passes_and_then_everything_does(server: socket.socket, client: socket.socket) -> None:
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        proxy.upstream = server.getsockname()
        client.sendto(STUN, ("127.0.0.1", proxy.port))
        _, address = server.recvfrom(2048)
        proxy.dark = True
        for datagram in (STUN, DTLS, SRTP):
            client.sendto(datagram, ("127.0.0.1", proxy.port))
            server.sendto(datagram, address)
        while (proxy.counters.dropped_in, proxy.counters.dropped_out) != (3, 3):
            time.sleep(0.001)
        proxy.dark = False
        client.sendto(SRTP + b"in", ("127.0.0.1", proxy.port))
        assert server.recv(2048) == SRTP + b"in"
        server.sendto(SRTP + b"out", address)
        assert client.recv(2048) == SRTP + b"out"


def test_a_router_that_forgot_its_clients_gives_them_other_ports(server: socket.socket, client: socket.socket) -> None:
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        proxy.upstream = server.getsockname()
        client.sendto(STUN, ("127.0.0.1", proxy.port))
        _, before = server.recvfrom(2048)
        proxy.rebind()
        server.settimeout(0.05)
        after = before
        while after == before:
            client.sendto(STUN, ("127.0.0.1", proxy.port))
            _, after = server.recvfrom(2048)
        server.sendto(b"\x90back", after)
        assert client.recv(2048) == b"\x90back"


def disturbed(seed: int, direction: str = "in") -> list[tuple[int, float]]:
    """Number and time of what comes out, of a datagram each millisecond."""
    disorder = Disorder(jitter_s=0.02, overtaken=0.05, overtaken_s=0.03, doubled=0.05)
    plan = DisorderPlan(seed, 0, direction, disorder)
    return sorted(((n, due) for n in range(4000) for due in plan.times(n / 1000)), key=lambda item: item[1])


def test_disorder_is_the_same_by_seed_and_another_in_each_direction() -> None:
    assert disturbed(1) == disturbed(1)
    assert disturbed(1) != disturbed(2)
    assert disturbed(1) != disturbed(1, "out")


def test_disorder_doubles_and_holds_back_about_as_many_as_it_says_and_loses_none() -> None:
    out = [number for number, _ in disturbed(3)]
    assert set(out) == set(range(4000))
    assert 0.04 < (len(out) - 4000) / 4000 < 0.06
    firsts = list(dict.fromkeys(out))
    overtaken = sum(
        any(later < number for later in firsts[place + 1 : place + 80]) for place, number in enumerate(firsts)
    )
    assert overtaken > 0.05 * 4000, "those in front of which something came that was sent after them"
    assert all(n / 1000 <= due <= n / 1000 + 0.051 for n, due in disturbed(3))


def test_media_in_both_directions_is_disturbed_and_everything_else_passes(
    server: socket.socket, client: socket.socket
) -> None:
    with ImpairmentProxy(loss=0.0, seed=1, both=Disorder(doubled=1.0)) as proxy:
        proxy.upstream = server.getsockname()
        client.connect(("127.0.0.1", proxy.port))
        client.send(STUN)
        _, back = server.recvfrom(100)
        client.send(SRTP)
        assert [server.recv(100), server.recv(100)] == [SRTP, SRTP]
        server.sendto(DTLS, back)
        assert client.recv(100) == DTLS
        server.sendto(SRTP, back)
        assert [client.recv(100), client.recv(100)] == [SRTP, SRTP]


def test_what_is_lost_on_the_way_out_is_counted(server: socket.socket, client: socket.socket) -> None:
    with ImpairmentProxy(loss=0.0, seed=1, both=Disorder(loss=1.0)) as proxy:
        proxy.upstream = server.getsockname()
        client.connect(("127.0.0.1", proxy.port))
        client.send(STUN)
        _, back = server.recvfrom(100)
        server.sendto(SRTP, back)
        server.sendto(DTLS, back)
        assert client.recv(100) == DTLS
        assert proxy.counters.dropped_out == 1
