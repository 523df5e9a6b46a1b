"""A recording is given what was sent between its start and its stop, repaired packets included, and nothing else."""

import pytest

from sfu.encoding import Encoding
from sfu.tap import LINGER_S
from tests.support.sfu_media import OPUS, encoding
from tests.support.taps import QuietTap


class Tap(QuietTap):
    def __init__(self) -> None:
        self.indices: list[int] = []
        self.ends: list[float] = []

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        assert not self.ends
        self.indices.append(index)

    def end(self, now_s: float) -> None:
        self.ends.append(now_s)


def came(stream: Encoding, *indices: int, now: float = 1.0) -> None:
    for index in indices:
        stream.accept(index, 0, index * 960, b"\x78x", 0, -1, now)


def recorded(stream: Encoding) -> Tap:
    tap = Tap()
    stream.record(tap, 1.0)
    return tap


def test_a_new_stream_is_recorded_from_its_first_packet_also_if_others_overtook_it() -> None:
    stream = encoding(OPUS, first_index=11)
    tap = recorded(stream)
    came(stream, 11, 10, 12)
    assert tap.indices == [11, 10, 12]


def test_a_packet_repaired_after_the_start_that_belongs_before_it_is_left_out() -> None:
    stream = encoding(OPUS)
    came(stream, 0, 1, 3, 4)
    tap = recorded(stream)
    came(stream, 2, 5, 7, 6)
    assert tap.indices == [5, 7, 6]


def test_without_a_hole_the_tap_ends_at_the_stop() -> None:
    stream = encoding(OPUS)
    tap = recorded(stream)
    came(stream, 0, 1, 2)
    stream.stop_tap(2.0)
    came(stream, 3)
    assert (tap.indices, tap.ends) == ([0, 1, 2], [2.0])


@pytest.mark.pain("17")
def test_what_is_missing_at_the_stop_is_waited_for_and_nothing_newer_is_taken() -> None:
    stream = encoding(OPUS)
    tap = recorded(stream)
    came(stream, 0, 1, 4)
    stream.stop_tap(2.0)
    came(stream, 5, 7, 2, now=2.1)
    stream.tick(2.1)
    assert tap.ends == []
    came(stream, 3, now=2.15)
    stream.tick(2.15)
    assert (tap.indices, tap.ends) == ([0, 1, 4, 2, 3], [2.0]), "waiting makes nothing longer"


def test_what_never_comes_is_not_waited_for_long() -> None:
    stream = encoding(OPUS)
    tap = recorded(stream)
    came(stream, 0, 2)
    stream.stop_tap(2.0)
    stream.stop_tap(2.2)
    stream.tick(2.0 + 0.9 * LINGER_S)
    assert tap.ends == []
    stream.tick(2.0 + LINGER_S)
    assert len(tap.ends) == 1


def test_the_end_of_the_track_ends_a_waiting_tap_at_once() -> None:
    stream = encoding(OPUS)
    tap = recorded(stream)
    came(stream, 0, 2)
    stream.stop_tap(2.0)
    stream.end_tap(2.1)
    stream.tick(3.0)
    assert tap.ends == [2.0]


def test_a_new_recording_ends_a_tap_that_still_waits() -> None:
    stream = encoding(OPUS)
    first = recorded(stream)
    came(stream, 0, 2)
    stream.stop_tap(2.0)
    second = recorded(stream)
    came(stream, 3, 1)
    assert (first.indices, len(first.ends)) == ([0, 2], 1)
    assert (second.indices, second.ends) == ([3], [])
