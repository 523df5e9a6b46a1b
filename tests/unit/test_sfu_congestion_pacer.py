"""The pacer spreads large frames, keeps the order, drops nothing and holds nothing for long. Virtual time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.congestion.pacer import (
    BURST_S,
    FACTOR,
    MAX_BYTES,
    MAX_DEBT_S,
    MAX_PIECES,
    MIN_BURST_BYTES,
    PIECE_S,
    WAIT_S,
    Pacer,
)

NOW = 1000.0


def pacer(target_bps: float | None = 1e6) -> Pacer[int]:
    made: Pacer[int] = Pacer()
    made.pace(target_bps)
    return made


def offer(to: Pacer[int], number: int, size_bytes: int, now: float) -> list[int]:
    """As a transport does; what leaves now."""
    if to.admit(size_bytes, now):
        return [number]
    to.hold(number, size_bytes, now)
    return [piece for piece, _ in to.take(now)]


def drain(of: Pacer[int], now: float) -> list[tuple[float, int]]:
    """Everything that is held, as it becomes due."""
    left: list[tuple[float, int]] = []
    while (due := of.due) is not None:
        now = max(now, due)
        pieces = of.take(now)
        assert pieces, "it said so"
        left += [(now, piece) for piece, _ in pieces]
    return left


def test_where_nobody_knows_what_the_path_takes_nothing_waits() -> None:
    unknown: Pacer[int] = Pacer()
    assert all(unknown.admit(60_000, NOW) for _ in range(100))
    unknown.pace(1e6)
    assert not unknown.admit(60_000, NOW)
    unknown.pace(None)
    assert all(unknown.admit(60_000, NOW) for _ in range(100))


@pytest.mark.parametrize("target_bps", [300e3, 1e6, 5e6])
@pytest.mark.parametrize("cameras", [1, 4])
def test_frames_that_fit_never_wait_and_neither_do_those_of_twice_the_size(target_bps: float, cameras: int) -> None:
    paced = pacer(target_bps)
    frame = int(target_bps / 30 / 8 / cameras)
    for n in range(300):
        size = (2 * frame, frame // 2, frame, frame // 2)[n % 4]
        assert all(paced.admit(size, NOW + n / 30) for _ in range(cameras))
    assert paced.held == 0


def test_a_key_frame_leaves_at_the_pacing_rate_behind_a_first_burst() -> None:
    paced = pacer(1e6)
    sent: list[int] = []
    for n in range(30):
        sent += offer(paced, n, 2000, NOW)
    rate = FACTOR * 1e6 / 8
    assert sent == list(range(int(BURST_S * rate / 2000)))
    left = drain(paced, NOW)
    assert [piece for _, piece in left] == list(range(len(sent), 30))
    steps = [after - before for (before, _), (after, _) in pairwise(left)]
    assert steps == [pytest.approx(2000 / rate, rel=0.01)] * len(steps)
    assert left[-1][0] - NOW == pytest.approx(30 * 2000 / rate - BURST_S, rel=0.01)


def test_a_flow_that_is_more_than_the_target_is_not_stowed() -> None:
    paced = pacer(1e6)
    for _ in range(200):
        paced.pace(1e6, 5e6)
    frame = int(5e6 / 30 / 8)
    for n in range(90):
        now = NOW + n / 30
        offer(paced, n, frame, now)
    assert paced.held == 0
    assert sum(len(offer(paced, n, 2000, NOW + 4)) for n in range(100)) < 30, "and a burst is one all the same"


def test_what_comes_behind_what_is_held_waits_for_it() -> None:
    paced = pacer(1e6)
    assert offer(paced, 0, 9000, NOW) == [0]
    assert offer(paced, 1, 3000, NOW) == []
    assert not paced.admit(10, NOW + 0.001)
    assert offer(paced, 2, 10, NOW + 0.001) == []
    assert [piece for _, piece in drain(paced, NOW)] == [1, 2]
    assert paced.admit(10, NOW + 1)


def test_nothing_waits_for_longer_than_the_limit_whatever_the_path_takes() -> None:
    paced = pacer(30e3)
    for n in range(40):
        offer(paced, n, 3000, NOW)
    left = drain(paced, NOW)
    assert left[-1][0] <= NOW + WAIT_S
    steps = [after - before for (before, _), (after, _) in pairwise(left)]
    assert max(steps) < 2 * WAIT_S / 40, "and the rate grows for it, nothing leaves as a burst at the end"


def test_what_did_not_ask_is_paid_for_but_holds_pictures_back_for_a_while_only() -> None:
    paced = pacer(1e6)
    for _ in range(5):
        paced.passed(2000, NOW)
    assert offer(paced, 1, 3000, NOW) == []
    assert paced.due == pytest.approx(NOW + 13_000 * 8 / (FACTOR * 1e6) - BURST_S, abs=1e-6)
    for _ in range(1000):
        paced.passed(2000, NOW)
    assert drain(paced, NOW)[-1][0] <= NOW + MAX_DEBT_S


@pytest.mark.parametrize(("size", "count"), [(10, MAX_PIECES + 400), (3000, MAX_BYTES // 3000 + 10)])
def test_a_queue_that_grows_too_long_leaves_at_once_in_order(size: int, count: int) -> None:
    paced = pacer(30e3)
    sent: list[int] = []
    for n in range(count):
        sent += offer(paced, n, size, NOW)
    assert paced.overflows == 1
    assert len(sent) > min(MAX_PIECES, MAX_BYTES // size)
    assert sent + [piece for _, piece in drain(paced, NOW)] == list(range(count))


def test_a_new_target_counts_for_what_is_held_too() -> None:
    paced = pacer(1e6)
    for n in range(10):
        offer(paced, n, 3000, NOW)
    slow = paced.due
    paced.pace(4e6)
    fast = paced.due
    assert slow is not None
    assert fast is not None
    assert fast < slow
    paced.pace(None)
    assert len(paced.take(NOW)) > 5
    assert paced.due is None


def test_pieces_are_of_some_milliseconds_and_two_packets_at_least() -> None:
    assert pacer(30e3).piece_bytes == pacer(1e6).piece_bytes == MIN_BURST_BYTES
    assert pacer(20e6).piece_bytes == int(PIECE_S * FACTOR * 20e6 / 8)


def test_what_nobody_is_there_for_is_forgotten() -> None:
    paced = pacer(1e6)
    for n in range(10):
        offer(paced, n, 3000, NOW)
    paced.clear()
    assert paced.due is None
    assert paced.admit(1000, NOW + 1)


offers = st.tuples(st.integers(1, 3000), st.floats(0, 0.1), st.sampled_from(["picture", "sound", "target"]))


@given(st.floats(30e3, 1e8), st.lists(offers, max_size=200))
def test_everything_leaves_once_in_order_and_in_time(
    target_bps: float, given_offers: list[tuple[int, float, str]]
) -> None:
    paced = pacer(target_bps)
    now = NOW
    left: list[tuple[float, int]] = []
    offered: list[float] = []
    for size, wait_s, what in given_offers:
        until = now + wait_s
        while (due := paced.due) is not None and due <= until:
            now = max(now, due)
            left += [(now, piece) for piece, _ in paced.take(now)]
        now = until
        if what == "sound":
            paced.passed(size, now)
        elif what == "target":
            paced.pace(size * 30e3)
        else:
            offered.append(now)
            left += [(now, piece) for piece in offer(paced, len(offered) - 1, size, now)]
    left += drain(paced, now)
    assert [piece for _, piece in left] == list(range(len(offered)))
    assert all(at - offered[piece] <= WAIT_S + 1e-6 for at, piece in left)


@given(st.floats(100e3, 1e7), st.lists(st.tuples(st.integers(500, 3000), st.floats(0, 0.05)), min_size=1, max_size=200))
def test_no_more_leaves_in_any_time_than_its_share_and_a_burst_while_the_queue_is_short(
    target_bps: float, pieces: list[tuple[int, float]]
) -> None:
    paced = pacer(target_bps)
    rate = FACTOR * target_bps / 8
    now = NOW
    left: list[tuple[float, int]] = []
    waiting = 0
    for n, (size, wait_s) in enumerate(pieces):
        until = now + wait_s
        while (due := paced.due) is not None and due <= until:
            now = max(now, due)
            left += [(now, pieces[piece][0]) for piece, _ in paced.take(now)]
        now = until
        left += [(now, pieces[piece][0]) for piece in offer(paced, n, size, now)]
        waiting = max(waiting, sum(size for size, _ in pieces[: n + 1]) - sum(size for _, size in left))
    if waiting > WAIT_S * rate / 2:
        return  # the rate grew
    most = max(BURST_S * rate, MIN_BURST_BYTES)
    for first, (begin, _) in enumerate(left):
        octets = 0
        for at, size in left[first:]:
            octets += size
            assert octets <= most + (at - begin) * rate + 1
