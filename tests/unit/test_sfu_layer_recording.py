"""A track in several layers is recorded as one stream: the best that is sent, from key frame to key frame."""

from itertools import pairwise

import pytest

from sfu.interfaces import PacketTap, StreamInfo, TrackInfo
from sfu.tap import LINGER_S
from sfu.track import PROOF_S, SETTLE_S
from tests.support.layered_camera import Camera
from tests.support.sfu_media import VP8, encoding
from tests.support.taps import QuietSink, QuietTap


class Tap(QuietTap):
    def __init__(self) -> None:
        self.packets: list[tuple[int, int, bytes]] = []
        """Index, timestamp, payload."""
        self.reports: list[tuple[int, int]] = []
        self.ends: list[float] = []
        self.breaks = False

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        assert not self.ends
        if self.breaks:
            raise OSError("the spool is gone")
        self.packets.append((index, timestamp, payload))

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        self.reports.append((ntp_timestamp, rtp_timestamp))

    def end(self, now_s: float) -> None:
        self.ends.append(now_s)

    def layers(self) -> str:
        return "".join(chr(payload[-1]) for _, _, payload in self.packets)


class Sink(QuietSink):
    def __init__(self, *taps: Tap) -> None:
        self.taps: list[Tap] = []
        self._prepared = list(taps)

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> PacketTap | None:
        self.taps.append(self._prepared.pop() if self._prepared else Tap())
        return self.taps[-1]


def record(camera: Camera) -> Tap:
    """As a room does: every encoding that is known is offered."""
    sink = Sink()
    for layer in camera.layers.values():
        if layer.packets:
            camera.track.record(layer, sink, camera.now)
    (tap,) = sink.taps
    return tap


def runs_on(tap: Tap) -> None:
    for (index, timestamp, _), (next_index, next_timestamp, _) in pairwise(sorted(tap.packets)):
        assert next_index - index == 1
        assert 0 < (next_timestamp - timestamp) & 0xFFFFFFFF <= 6001


def is_key(payload: bytes) -> bool:
    return payload[4] & 1 == 0


def test_the_best_layer_is_recorded_from_a_key_frame_on_though_nobody_watches() -> None:
    camera = Camera()
    camera.run(1.0)
    tap = record(camera)
    camera.run(2.0)
    assert set(tap.layers()) == {"h"}
    assert len(tap.packets) > 45
    assert is_key(tap.packets[0][2])
    runs_on(tap)


def test_who_begins_during_a_recording_is_recorded_from_the_best_layer_on() -> None:
    """The smallest comes first, and the file would have its size in its head."""
    camera = Camera()
    camera.offer()
    tap = Tap()
    camera.sink = Sink(tap)
    camera.sent = {"l"}
    camera.run(0.1)
    camera.sent = {"l", "m"}
    camera.run(0.1)
    camera.sent = {"l", "m", "h"}
    camera.run(1.5)
    assert set(tap.layers()) == {"h"}
    assert len(tap.packets) >= 44, "from its first frame on"


def test_where_the_better_layers_do_not_come_the_recording_does_not_wait_for_them() -> None:
    camera = Camera()
    camera.offer()
    tap = Tap()
    camera.sink = Sink(tap)
    camera.sent = {"l"}
    camera.run(2.0)
    assert len(tap.packets) >= 30 * (2.0 - SETTLE_S - 0.5)


def test_what_viewers_take_does_not_touch_the_recording() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    camera.run(1.0)
    tap = record(camera)
    camera.run(1.0)
    camera.track.show(watching.subscription, 0)
    camera.run(1.0)
    assert set(tap.layers()) == {"h"}


def test_a_layer_that_is_not_sent_any_more_is_replaced_and_taken_again_when_it_lasts() -> None:
    camera = Camera()
    camera.run(1.0)
    tap = record(camera)
    camera.run(1.0)
    camera.sent.remove("h")
    camera.run(2.0)
    camera.sent.add("h")
    camera.run(PROOF_S + 2.0)
    got = tap.layers()
    assert got == "".join(sorted(got[: got.rindex("m") + 1], key="hm".index)) + got[got.rindex("m") + 1 :]
    assert got.startswith("h")
    assert got.endswith("h")
    changes = [after for (_, _, before), (_, _, after) in pairwise(tap.packets) if before[-1] != after[-1]]
    assert [chr(payload[-1]) for payload in changes] == ["m", "h"]
    assert all(is_key(payload) for payload in changes)
    assert max(after[0] - before[0] for before, after in pairwise(tap.packets)) == 1


def test_a_better_layer_that_comes_later_is_taken_while_the_first_goes_on() -> None:
    camera = Camera()
    camera.sent = {"l"}
    camera.run(0.5)
    tap = record(camera)
    camera.run(1.0)
    camera.sent = {"l", "m", "h"}
    camera.run(1.5)
    got = tap.layers()
    assert got.lstrip("l") == "m" + got.lstrip("lm"), "one frame of the middle one, which came first"
    assert got.lstrip("lm").strip("h") == ""
    assert len(got) >= 70, "no frame is missing"
    runs_on(tap)


def test_a_repair_of_the_layer_before_finds_its_place() -> None:
    camera = Camera("lh")
    camera.sent = {"l"}
    camera.run(0.5)
    tap = record(camera)
    camera.run(1.0)
    layer = camera.layers["l"]
    lost = layer.highest + 1
    layer.highest += 1  # as if the next packet had been lost on the way
    layer.missing.opened(lost, lost + 1, camera.now)
    camera.frame()
    camera.sent.add("h")
    while not tap.layers().endswith("h"):
        camera.frame()
        camera.track.choose_layers()
    before = len(tap.packets)
    layer.accept(lost, 0x80, 0, b"late", 0, -1, camera.now)
    assert len(tap.packets) == before + 1
    indices = [index for index, _, _ in tap.packets]
    assert sorted(indices) == list(range(min(indices), max(indices) + 1))
    assert len(set(indices)) == len(indices)


def test_time_goes_on_by_the_senders_clock_where_it_reports() -> None:
    camera = Camera("lh")
    camera.run(0.5)
    tap = record(camera)
    camera.sent.remove("h")
    camera.run(1.5)
    camera.sent.add("h")
    camera.late_s["h"] = 0.08
    camera.frame()
    camera.report("l")
    camera.report("h")
    camera.run(PROOF_S + 1.0)
    assert tap.layers().endswith("h")
    (step,) = [b[1] - a[1] for a, b in pairwise(tap.packets) if (a[2][-1:], b[2][-1:]) == (b"l", b"h")]
    assert step == 1 or abs(step - 3000) <= 1
    told = len(tap.reports)
    camera.report("l")
    assert len(tap.reports) == told, "of the layer that is not recorded any more nothing is told"
    camera.report("h")
    assert tap.reports[-1][1] == tap.packets[-1][1]


def test_it_ends_once_when_the_recording_is_stopped() -> None:
    camera = Camera()
    camera.run(1.0)
    tap = record(camera)
    camera.run(1.0)
    camera.track.stop_taps(camera.now)
    camera.run(1.0)
    assert len(tap.ends) == 1
    count = len(tap.packets)
    camera.run(1.0)
    assert len(tap.packets) == count


def test_it_ends_once_when_the_track_ends_in_the_middle_of_a_change() -> None:
    camera = Camera()
    camera.run(1.0)
    tap = record(camera)
    camera.run(1.0)
    camera.sent.remove("h")
    camera.run(0.6)
    camera.track.end_taps(camera.now)
    assert len(tap.ends) == 1
    assert all(layer.on_key_frame is None for layer in camera.layers.values())


def test_a_recording_that_is_stopped_before_any_key_frame_ends_too() -> None:
    camera = Camera()
    camera.run(1.0)
    tap = record(camera)
    camera.track.stop_taps(camera.now)
    assert (tap.packets, len(tap.ends)) == ([], 1)


def test_a_second_recording_begins_anew() -> None:
    camera = Camera()
    camera.run(1.0)
    first = record(camera)
    camera.run(1.0)
    camera.track.stop_taps(camera.now)
    second = record(camera)
    camera.run(LINGER_S + 1.0)
    assert len(first.ends) == 1
    assert set(second.layers()) == {"h"}
    assert is_key(second.packets[0][2])


def test_a_recorder_that_breaks_is_left_alone_and_the_call_goes_on() -> None:
    camera = Camera()
    watching = camera.viewer()
    camera.run(1.0)
    tap = record(camera)
    camera.run(1.0)
    tap.breaks = True
    count = len(tap.packets)
    watching.fresh()
    camera.run(1.0)
    assert len(tap.packets) == count
    assert len(watching.fresh()) == 30
    assert sum(layer.tap_failures for layer in camera.layers.values()) == 1


@pytest.mark.parametrize("rid", ["l", "h"])
def test_a_layer_that_restarts_with_another_ssrc_is_followed(rid: str) -> None:
    camera = Camera("lh")
    camera.run(1.0)
    tap = record(camera)
    camera.run(1.0)
    camera.layers[rid] = encoding(VP8, 999, 5000, camera.touched, rid)
    camera.run(2.0)
    assert tap.layers().endswith("h" * 20)
