"""A device that gives nothing any more is seen within three seconds; a pause, a mute or a lost network is none. Virtual
time."""

import random
from collections.abc import Callable

import pytest

from sfu.capture_watch import CaptureWatch, Seen

LOOK_S = 0.25
TOLD_S = 3.0
RATE = 48_000


class Sender:
    """A microphone with packets of 20 ms and checks of its connection every 2.5 s, seen four times a second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.watch = CaptureWatch()
        self.muted = False
        self.network = self.sends = True
        self.speed = 1.0
        """Of RTP time."""
        self.ssrc = 1
        self.others = False
        """Something else comes all the time."""
        self.packets = self.heard = 0
        self.timestamp = 0xFFFF_0000
        self.stalls: list[tuple[float, float]] = []
        """When it was said, and since when it was so."""
        self._check = 0.0

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            for _ in range(round(LOOK_S / 0.02)):
                self._packet()
            self.now += LOOK_S
            before = self.watch.stalled
            stream = (self.ssrc, int(self.timestamp) & 0xFFFF_FFFF, RATE)
            if self.watch.look(Seen(self.muted, self.heard, self.packets, stream), self.now) and not before:
                self.stalls.append((self.now, self.watch.since))

    def _packet(self) -> None:
        if self.network:
            if self.sends:
                self.packets += 1
                self.heard += 100
                self.timestamp += 960 * self.speed
            if self.others:
                self.heard += 100
            self._check += 0.02
            if self._check >= 2.5:
                self._check = 0.0
                self.heard += 1


@pytest.mark.parametrize("phase", [0.0, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("others", [True, False])
def test_a_device_that_stops_is_told_in_time_and_is_over_with_its_first_packets(phase: float, others: bool) -> None:
    sender = Sender()
    sender.others = others
    sender.go(10 + phase)
    assert sender.stalls == []
    sender.sends, stopped = False, sender.now
    sender.go(6)
    [(told, since)] = sender.stalls
    assert 2.0 <= told - stopped <= TOLD_S + (0 if others else LOOK_S)
    assert abs(since - stopped) <= LOOK_S
    sender.sends = True
    sender.go(LOOK_S)
    assert not sender.watch.stalled
    sender.go(10)
    assert len(sender.stalls) == 1


def test_packets_whose_time_hardly_goes_on_are_a_stall() -> None:
    sender = Sender()
    sender.go(5)
    sender.speed, slowed = 0.02, sender.now
    sender.go(5)
    [(told, _)] = sender.stalls
    assert told - slowed <= TOLD_S
    sender.speed = 1.0
    sender.go(2.5)
    assert not sender.watch.stalled


def _mute(sender: Sender) -> None:
    sender.muted, sender.sends = True, False


def _no_network(sender: Sender) -> None:
    sender.network = False


def _no_network_behind_another_track(sender: Sender) -> None:
    sender.sends, sender.others = False, True
    sender._packet()
    sender.network = False


@pytest.mark.parametrize("happens", [_mute, _no_network, _no_network_behind_another_track])
def test_who_is_muted_or_has_no_network_has_no_stalled_device(happens: Callable[[Sender], None]) -> None:
    sender = Sender()
    sender.go(5)
    happens(sender)
    sender.go(60)
    sender.muted, sender.sends, sender.network = False, True, True
    sender.go(10)
    assert sender.stalls == []


def test_a_track_from_which_nothing_came_yet_is_waited_for() -> None:
    sender = Sender()
    sender.sends, sender.others = False, True
    sender.go(30)
    assert sender.stalls == []


@pytest.mark.parametrize("pause_s", [0.5, 1.0, 1.5, 1.75])
def test_a_short_pause_is_no_stall_also_where_time_stands_still_meanwhile(pause_s: float) -> None:
    sender = Sender()
    sender.others = True
    for _ in range(20):
        sender.go(5)
        sender.sends = False
        sender.go(pause_s)
        sender.sends = True
    assert sender.stalls == []


def test_another_stream_and_a_clock_that_is_set_anew_are_no_stall() -> None:
    sender = Sender()
    sender.go(5)
    sender.ssrc, sender.timestamp = 2, sender.timestamp - 1000
    sender.go(5)
    sender.timestamp = sender.timestamp - 100 * RATE
    sender.go(5)
    sender.timestamp = sender.timestamp + 100 * RATE
    sender.go(5)
    assert sender.stalls == []


def test_of_a_track_in_several_streams_packets_alone_count() -> None:
    watch, told = CaptureWatch(), []
    for step in range(80):
        now = step * LOOK_S
        packets = min(step, 40) * 10 + 1
        if watch.look(Seen(False, step, packets, None), now):
            told.append(now)
    assert 40 * LOOK_S + 2.0 <= told[0] <= 40 * LOOK_S + TOLD_S


@pytest.mark.parametrize("seed", range(5))
def test_half_an_hour_of_sound_over_a_bad_network_with_mutes_is_no_stall(seed: int) -> None:
    """Outages of up to five seconds, mutes of up to twenty, DTX: packets 0.4 s apart."""
    sender, chance = Sender(), random.Random(seed)
    while sender.now < 1900:
        sender.go(chance.uniform(1, 20))
        which = chance.randrange(3)
        if which == 0:
            sender.network = False
            sender.go(chance.uniform(0.25, 5))
            sender.network = True
        elif which == 1:
            sender.muted = True
            sender.go(chance.uniform(0.25, 20))
            sender.muted = False
        else:
            for _ in range(chance.randrange(20)):
                sender.sends = False
                sender.go(0.5)
                sender.timestamp += 0.5 * RATE
                sender.sends = True
                sender.go(0.25)
    assert sender.stalls == []
