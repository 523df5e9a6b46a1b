"""A room's microphones: the loudest are forwarded without a jump in anybody's stream, recordings have all."""

from itertools import pairwise

import pytest

from sfu.encoding import Encoding
from sfu.inbound import Source
from sfu.interfaces import TrackKind
from sfu.negotiation import Chosen
from sfu.sound import ALL_UP_TO, ANNOUNCE_S, PLACES, RoomSound
from sfu.subscription import Subscription
from sfu.track import Track
from sfu.voice import STEP_S
from tests.support.sfu_client import Tap
from tests.support.sfu_media import OPUS, Sent, Viewer, encoding
from tests.support.talk import ROOM, Levels, speech, steady

PACKET_S = 0.02
TICKS = 960


class Microphone:
    """A track with one packet every 20 ms, its tap, and one viewer of it."""

    def __init__(self, number: int, touched: list[Encoding]) -> None:
        self.name = f"p{number:02}"
        self.encoding = encoding(OPUS, 1000 + number, 60_000 + number, touched)
        self.track = Track(f"t{number:02}", self.name, TrackKind.MICROPHONE, OPUS)
        self.track.source = Source(self.track.track_id, "0", Chosen(OPUS, 0), [], {}, [self.encoding])
        self.viewer = Viewer()
        self.subscription = Subscription(self.track.track_id, self.viewer, 111, 0, 48_000)
        self.track.subscribe(self.subscription)
        self.track.heard(self.encoding)
        self.tap = Tap()
        self.encoding.record(self.tap, 0.0)
        self.quiet: Levels = steady(ROOM, 2, number)
        self.packets = 0

    def send(self, level: int | None, now: float) -> None:
        octet = -1 if level is None else 0x80 | level
        payload = b"\x78" + self.packets.to_bytes(4, "big")
        self.packets += 1
        self.encoding.accept(self.encoding.highest + 1, 0, TICKS * self.packets, payload, 0, octet, now)

    def heard(self) -> list[Sent]:
        return self.viewer.packets()


class Room:
    def __init__(self, count: int, loudest: int = 0) -> None:
        self.touched: list[Encoding] = []
        self.microphones = [Microphone(number, self.touched) for number in range(count)]
        self.sound = RoomSound(loudest)
        self.now = 50.0
        self.news: list[tuple[float, str | None, tuple[str, ...]]] = []
        self._packets = 0

    def run(self, seconds: float, **sources: Levels) -> None:
        for _ in range(round(seconds / PACKET_S)):
            self.packet(sources)

    def packet(self, sources: dict[str, Levels]) -> None:
        """20 ms; five packets make two steps."""
        self._packets += 1
        self.now += PACKET_S
        for microphone in self.microphones:
            microphone.send(next(sources.get(microphone.name) or microphone.quiet), self.now)
        for source in self.touched:
            source.flush()
        self.touched.clear()
        if self._packets % 5 in (0, 3):
            if self.sound.step([m.track for m in self.microphones], len(self.microphones), self.now):
                self.news.append((self.now, self.sound.dominant, self.sound.speaking))

    def forwarded(self) -> set[str]:
        """Of whom anything came since the last call."""
        return {microphone.name for microphone in self.microphones if microphone.heard()}

    def reasons(self) -> list[str]:
        return [self.sound.figures(microphone.track).reason for microphone in self.microphones]


def test_in_a_small_room_all_are_forwarded() -> None:
    room = Room(ALL_UP_TO)
    room.run(5)
    room.forwarded()
    room.run(1)
    assert len(room.forwarded()) == ALL_UP_TO
    assert set(room.reasons()) == {"all"}


def test_of_twenty_the_loudest_six_are_forwarded() -> None:
    room = Room(20)
    talkers = {f"p{number:02}": speech(number) for number in range(12, 18)}
    room.run(5, **talkers)
    room.forwarded()
    room.run(5, **talkers)
    assert room.forwarded() == set(talkers)
    assert room.reasons().count("among_loudest") == PLACES
    assert room.reasons().count("not_among_loudest") == 20 - PLACES


def test_the_operators_number_is_kept_in_rooms_of_every_size() -> None:
    room = Room(4, loudest=1)
    room.run(3)
    room.forwarded()
    room.run(1)
    assert len(room.forwarded()) == 1


def test_a_loud_newcomer_is_heard_within_three_packets() -> None:
    room = Room(20)
    room.run(5)
    for number in range(20):
        newcomer = room.microphones[number]
        newcomer.heard()
        sent = newcomer.packets
        room.run(1.0, **{newcomer.name: steady(20)})
        first = int.from_bytes(newcomer.heard()[0].payload[1:], "big")
        assert first - sent <= 3, "60 ms"


def test_what_stops_and_starts_keeps_its_numbers_and_its_time() -> None:
    """Twenty speak in turn: each viewer's packets are numbered without a hole, their time is that of the source, and no
    number is given twice."""
    room = Room(20)
    for turn in range(40):
        room.run(6 * STEP_S + turn % 7, **{f"p{turn * 7 % 20:02}": speech(turn)})
    stops = 0
    for microphone in room.microphones:
        got = microphone.heard()
        assert len(got) < microphone.packets
        for before, after in pairwise(got):
            assert (after.sequence - before.sequence) & 0xFFFF == 1
            passed = int.from_bytes(after.payload[1:], "big") - int.from_bytes(before.payload[1:], "big")
            assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == TICKS * passed
            stops += passed > 1
        pairs = microphone.viewer.pairs()
        assert len(set(pairs)) == len(pairs)
        assert len({packet.ssrc for packet in got}) == 1
    assert stops > 20


def test_recordings_have_what_viewers_are_not_sent() -> None:
    room = Room(20)
    room.run(10, p03=speech(1))
    for microphone in room.microphones:
        assert len(microphone.tap.packets) == microphone.packets


def test_who_never_says_a_level_is_always_forwarded_and_takes_nobodys_place() -> None:
    room = Room(20)
    unsaid: Levels = steady(None)
    room.run(5, p00=unsaid)
    room.forwarded()
    room.run(1, p00=unsaid)
    assert "p00" in (forwarded := room.forwarded())
    assert len(forwarded) == PLACES + 1
    assert room.reasons()[0] == "no_level"
    assert room.sound.figures(room.microphones[0].track).level_dbov is None


def test_who_said_levels_and_says_none_any_more_counts_as_silent() -> None:
    room = Room(20)
    room.run(3, p00=steady(20))
    talkers = {f"p{number:02}": speech(number) for number in range(1, 7)}
    room.run(4, p00=steady(None), **talkers)
    assert room.reasons()[0] == "not_among_loudest"


def test_a_muted_microphone_gives_way_however_loud() -> None:
    room = Room(20)
    room.run(3, p00=steady(10))
    room.microphones[0].track.muted = True
    talkers = {f"p{number:02}": speech(number) for number in range(1, 7)}
    room.run(4, p00=steady(10), **talkers)
    assert room.reasons()[0] == "not_among_loudest"
    assert room.sound.dominant != "p00"
    room.microphones[0].track.muted = False
    room.run(5 * STEP_S, p00=speech(3, level=10), **talkers)
    assert room.reasons()[0] == "among_loudest"


def test_when_the_room_shrinks_everybody_is_forwarded_again() -> None:
    room = Room(ALL_UP_TO + 1)
    room.run(3)
    room.microphones.pop()
    room.run(STEP_S)
    room.forwarded()
    room.run(1)
    assert len(room.forwarded()) == ALL_UP_TO


def test_what_is_shared_with_a_screen_is_always_forwarded() -> None:
    room = Room(20)
    shared = Track("t_s", "p00", TrackKind.SCREEN_AUDIO, OPUS)
    room.run(2)
    assert room.sound.figures(shared).reason == "no_microphone"
    assert room.sound.figures(shared).forwarded


def test_who_speaks_is_news_when_it_changes_and_not_more_often_than_pages_can_show() -> None:
    room = Room(5)
    room.run(3)
    assert room.news == []
    for turn in range(30):
        room.run(2.3, **{f"p{turn % 5:02}": speech(turn)})
    assert {dominant for _, dominant, _ in room.news} == {f"p{number:02}" for number in range(5)}
    assert min(later - earlier for (earlier, *_), (later, *_) in pairwise(room.news)) >= ANNOUNCE_S - 1e-9
    assert all(before[1:] != after[1:] for before, after in pairwise(room.news))
    room.run(5)
    count = len(room.news)
    room.run(60)
    assert len(room.news) == count


def test_what_changed_within_the_interval_is_told_at_its_end() -> None:
    room = Room(2)
    room.run(3, p00=speech(1))
    room.run(3, p01=speech(2))
    room.run(3)
    assert room.news[-1][1:] == (room.sound.dominant, room.sound.speaking) == ("p01", ())


def test_somebody_with_two_microphones_is_one_speaker() -> None:
    room = Room(2)
    room.microphones[1].track.participant_id = "p00"
    room.run(3, p01=speech(1))
    assert room.sound.dominant == "p00"
    assert room.sound.speaking == ("p00",)


@pytest.mark.parametrize("count", [13, 100])
def test_large_rooms_forward_no_more_than_the_places(count: int) -> None:
    room = Room(count)
    talkers = {microphone.name: speech(seed) for seed, microphone in enumerate(room.microphones)}
    room.run(2, **talkers)
    for _ in range(40):
        room.run(STEP_S, **talkers)
        assert sum(not microphone.track.gated for microphone in room.microphones) == PLACES
