"""What a recording is told beside the packets: sizes of pictures, mutes, and how the stream comes."""

from sfu.encoding import Encoding
from sfu.interfaces import PacketTap, Reception, StreamInfo, TrackInfo
from sfu.tap import LINGER_S, RECEPTION_S
from sfu.track import PROOF_S, Track
from tests.support.layered_camera import SIZES, Camera
from tests.support.sfu_media import OPUS, VP8, encoding, vp8
from tests.support.taps import QuietSink, QuietTap


class Tap(QuietTap):
    def __init__(self) -> None:
        self.told: list[tuple[float, object]] = []
        self.pictures: list[tuple[int, int, int, str]] = []
        self.highest = -1
        self.ended = False

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        self.highest = max(self.highest, index)

    def picture(self, arrival_s: float, index: int, width: int, height: int, rid: str) -> None:
        assert index <= self.highest, "told behind the packet with which it begins"
        self.pictures.append((index, width, height, rid))

    def muted(self, now_s: float, muted: bool) -> None:
        assert not self.ended
        self.told.append((now_s, muted))

    def reception(self, now_s: float, reception: Reception) -> None:
        assert not self.ended
        self.told.append((now_s, reception))

    def end(self, now_s: float) -> None:
        self.ended = True

    def receptions(self) -> list[tuple[float, Reception]]:
        return [(at, what) for at, what in self.told if isinstance(what, Reception)]

    def mutes(self) -> list[tuple[float, bool]]:
        return [(at, what) for at, what in self.told if isinstance(what, bool)]


class Sink(QuietSink):
    def __init__(self) -> None:
        self.taps: list[Tap] = []

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> PacketTap:
        self.taps.append(Tap())
        return self.taps[-1]


def came(stream: Encoding, index: int, payload: bytes, now: float = 1.0) -> None:
    stream.accept(index, 128, index * 3000, payload, 0, -1, now)


# --- pictures


def test_the_size_is_told_with_the_first_key_frame_and_when_it_changes() -> None:
    stream, tap = encoding(VP8), Tap()
    stream.record(tap, 1.0)
    for index, size in enumerate([(640, 360), (640, 360), None, (1280, 720), (640, 360)]):
        came(stream, index, vp8(index, key=size is not None, size=size or (0, 0)))
    assert tap.pictures == [(0, 640, 360, ""), (3, 1280, 720, ""), (4, 640, 360, "")]


def test_a_recording_that_begins_later_is_told_the_size_it_begins_with() -> None:
    stream, tap = encoding(VP8), Tap()
    came(stream, 0, vp8(0, key=True))
    stream.record(tap, 1.0)
    came(stream, 1, vp8(1))
    assert tap.pictures == []
    came(stream, 2, vp8(2, key=True))
    assert tap.pictures == [(2, 640, 360, "")]


def test_a_key_frame_that_is_no_part_of_the_recording_says_nothing() -> None:
    stream, tap = encoding(VP8), Tap()
    came(stream, 0, vp8(0, key=True))
    came(stream, 2, vp8(2))
    stream.record(tap, 1.0)
    came(stream, 1, vp8(1, key=True, size=(320, 180)))
    assert tap.pictures == []
    stream.stop_tap(2.0)
    came(stream, 3, vp8(3, key=True, size=(320, 180)))
    assert tap.pictures == []


def test_sound_has_no_pictures() -> None:
    stream, tap = encoding(OPUS), Tap()
    stream.record(tap, 1.0)
    came(stream, 0, b"\x78x")
    assert tap.pictures == []


def test_another_layer_is_told_with_its_name_and_its_place_in_the_one_stream() -> None:
    camera = Camera()
    camera.run(1.0)
    sink = Sink()
    for layer in camera.layers.values():
        camera.track.record(layer, sink, camera.now)
    (tap,) = sink.taps
    camera.run(1.0)
    camera.sent.remove("h")
    camera.run(2.0)
    camera.sent.add("h")
    camera.run(PROOF_S + 2.0)
    assert [picture[1:] for picture in tap.pictures] == [(*SIZES[rid], rid) for rid in "hmh"]
    indices = [picture[0] for picture in tap.pictures]
    assert indices == sorted(indices)
    assert indices[-1] <= tap.highest


# --- mutes


def published(stream: Encoding) -> tuple[Track, Tap]:
    """A track whose one stream is recorded."""
    camera = Camera("")
    camera.layers[""] = stream
    camera.offer()
    sink = Sink()
    came(stream, 0, vp8(0, key=True))
    camera.track.record(stream, sink, 1.0)
    return camera.track, sink.taps[0]


def test_a_mute_and_its_end_are_told_once_each() -> None:
    track, tap = published(encoding(VP8))
    for now, muted in ((2.0, True), (3.0, True), (4.0, False), (5.0, False)):
        track.mute(muted, now)
    assert tap.mutes() == [(2.0, True), (4.0, False)]


def test_a_recording_that_begins_on_a_muted_track_is_told() -> None:
    camera = Camera("")
    stream = camera.layers[""] = encoding(VP8)
    camera.offer()
    camera.track.mute(True, 0.5)
    sink = Sink()
    camera.track.record(stream, sink, 1.0)
    assert sink.taps[0].mutes() == [(1.0, True)]


def test_in_layers_it_is_told_once_whatever_the_layer() -> None:
    camera = Camera()
    camera.track.mute(True, 1.0)
    camera.run(1.0)
    sink = Sink()
    for layer in camera.layers.values():
        camera.track.record(layer, sink, camera.now)
    camera.run(1.0)
    camera.sent.remove("h")
    camera.run(2.0)
    camera.track.mute(False, camera.now)
    (tap,) = sink.taps
    assert [muted for _, muted in tap.mutes()] == [True, False]


# --- reception


def test_how_the_stream_comes_is_told_every_ten_seconds_and_before_the_end() -> None:
    stream, tap = encoding(OPUS), Tap()
    came(stream, 0, b"\x78x")
    stream.record(tap, 1.0)
    for tick in range(20, 521):
        if tick != 100:
            came(stream, tick - 19, b"\x78x", tick / 20)
        stream.tick(tick / 20)
    stream.end_tap(27.0)
    times = [at for at, _ in tap.receptions()]
    assert times == [1.0 + RECEPTION_S, 1.0 + 2 * RECEPTION_S, 27.0]
    last = tap.receptions()[-1][1]
    assert (last.received, last.missed, last.given_up, last.reordered) == (501, 1, 1, 0)
    assert last.asked_for > 0


def test_a_repair_shows_the_round_trip() -> None:
    stream, tap = encoding(VP8), Tap()
    stream.record(tap, 1.0)
    came(stream, 0, vp8(0, key=True), 1.0)
    came(stream, 2, vp8(2), 1.0)
    assert stream.tick(1.05) == [1]
    stream.missing.resent(1, 1.13)
    came(stream, 1, vp8(1), 1.13)
    stream.end_tap(2.0)
    (told,) = tap.receptions()
    assert told[1] == Reception(80_000, 3, 1, 0, 1, 0, 1)


def test_a_sender_that_answers_reference_times_is_asked_no_other_way() -> None:
    stream, tap = encoding(VP8), Tap()
    stream.record(tap, 1.0)
    stream.missing.round_trip_s, stream.round_trip_s = 0.08, 0.0
    stream.stop_tap(2.0)
    stream.record(other := Tap(), 2.0)
    stream.round_trip_s = 0.012
    stream.end_tap(3.0)
    told = [reception for _, reception in tap.receptions() + other.receptions()]
    assert [reception.round_trip_us for reception in told] == [1, 12_000], "0 would be: not known"


def test_what_is_missing_at_the_stop_is_told_of_when_it_came() -> None:
    stream, tap = encoding(OPUS), Tap()
    stream.record(tap, 1.0)
    came(stream, 0, b"\x78x")
    came(stream, 2, b"\x78x")
    stream.stop_tap(2.0)
    assert tap.receptions() == []
    stream.tick(2.0 + LINGER_S)
    assert [at for at, _ in tap.receptions()] == [2.0 + LINGER_S]
    assert tap.ended
