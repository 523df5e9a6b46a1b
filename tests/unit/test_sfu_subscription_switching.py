"""A viewer sees one stream, whatever source it comes from: it starts with a key frame and goes on without a jump."""

import pytest

from sfu.encoding import Encoding
from sfu.interfaces import TrackKind
from sfu.rtcp import Report, SenderReport, parse
from sfu.sdp import Codec
from sfu.subscription import Subscription
from sfu.track import Track
from tests.support.sfu_media import OPUS, VP8, Sent, Viewer, encoding, vp8


class Room:
    """One viewer of one track with several sources, and the media loop's wakeups."""

    def __init__(self, codec: Codec = VP8) -> None:
        self.touched: list[Encoding] = []
        self.codec = codec
        self.viewer = Viewer()
        self.track = Track("t", "p", TrackKind.CAMERA, codec)
        self.subscription = Subscription("t", self.viewer, 98, 99, codec.clock_rate_hz)
        self.track.subscribe(self.subscription)

    def source(self, ssrc: int, first_index: int = 0) -> Encoding:
        return encoding(self.codec, ssrc, first_index, self.touched)

    def accept(self, source: Encoding, index: int, payload: bytes, timestamp: int, now: float) -> None:
        source.accept(index, 0x80, timestamp, payload, 0, -1, now)

    def wakeup(self) -> None:
        for source in self.touched:
            source.flush()
        self.touched.clear()

    def send(self, source: Encoding, index: int, payload: bytes, timestamp: int = 0, now: float = 1.0) -> None:
        self.accept(source, index, payload, timestamp, now)
        self.wakeup()

    def got(self) -> list[Sent]:
        return self.viewer.packets()


def picture_id(packet: Sent) -> int:
    return int.from_bytes(packet.payload[2:4], "big") & 0x7FFF


def tl0(packet: Sent) -> int:
    return packet.payload[4]


def test_nothing_is_sent_before_a_key_frame_and_everything_from_it_on() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    assert source.requests.due(1.0), "a key frame is asked for"
    for index in range(3):
        room.send(source, index, vp8(index, body=b"delta"))
    room.send(source, 3, vp8(3, key=True, body=b"key"))
    room.send(source, 4, vp8(4, body=b"after"))
    assert [packet.payload[4:] for packet in room.got()] == [
        vp8(3, key=True, body=b"key")[4:],
        vp8(4, body=b"after")[4:],
    ]


def test_of_one_wakeup_a_new_viewer_gets_what_follows_the_key_frame_and_an_old_one_all() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    room.send(source, 0, vp8(0, key=True))
    late_viewer = Viewer()
    room.track.subscribe(Subscription("t", late_viewer, 98, 99, 90_000))
    for index, key in enumerate((False, False, True, False), 1):
        room.accept(source, index, vp8(index, key=key), 3000 * index, 1.0 + index)
    room.wakeup()
    assert len(room.got()) == 5
    assert len(late_viewer.packets()) == 2


def test_audio_starts_with_any_packet() -> None:
    room = Room(OPUS)
    source = room.source(1)
    room.track.heard(source)
    room.send(source, 7, b"sound")
    assert [packet.payload for packet in room.got()] == [b"sound"]


def test_a_first_number_leaves_room_for_a_guess_of_the_rollover() -> None:
    assert all(1 <= Room().subscription.next_index < 2**15 for _ in range(50))


def test_over_a_switch_numbers_go_on_and_time_goes_on_by_the_time_that_passed() -> None:
    room = Room()
    first, second = room.source(1), room.source(2, 50_000)
    room.track.heard(first)
    for n in range(4):
        room.send(first, n, vp8(100 + n, key=n == 0, tl0=7 + n), 3000 * n, 10.0 + n / 30)
    room.track.heard(second)
    for n in range(3):
        room.send(second, 50_000 + n, vp8(9000 + n, key=n == 0, tl0=200 + n), 777 + 3000 * n, 10.5 + n / 30)
    got = room.got()
    assert [packet.sequence - got[0].sequence for packet in got] == list(range(7))
    assert [(picture_id(packet) - picture_id(got[0])) & 0x7FFF for packet in got] == list(range(7))
    assert [(tl0(packet) - tl0(got[0])) & 0xFF for packet in got] == list(range(7))
    times = [(packet.timestamp - got[0].timestamp) & 0xFFFFFFFF for packet in got]
    assert times[:4] == [0, 3000, 6000, 9000]
    passed = int((10.5 - (10.0 + 3 / 30)) * 90_000)
    assert abs(times[4] - (9000 + passed)) <= 1
    assert times[5] - times[4] == 3000
    assert {packet.ssrc for packet in got} == {room.subscription.ssrc}


def test_packets_of_the_wakeup_in_which_the_source_changes_are_still_sent() -> None:
    """The new source is heard in the middle of a wakeup; what came before it in that wakeup has its numbers."""
    room = Room()
    first, second = room.source(1), room.source(2)
    room.track.heard(first)
    room.send(first, 0, vp8(0, key=True))
    room.accept(first, 1, vp8(1), 3000, 1.1)
    room.accept(first, 2, vp8(2), 3000, 1.1)
    room.track.heard(second)
    room.accept(second, 0, vp8(50, key=True), 0, 1.2)
    room.wakeup()
    got = room.got()
    assert [packet.sequence - got[0].sequence for packet in got] == [0, 1, 2, 3]
    assert [(picture_id(packet) - picture_id(got[0])) & 0x7FFF for packet in got] == [0, 1, 2, 3]


def test_a_switch_back_and_forth_before_any_key_frame_changes_nothing() -> None:
    room = Room()
    sources = [room.source(n) for n in range(3)]
    room.track.heard(sources[0])
    room.send(sources[0], 0, vp8(5, key=True))
    for source in (sources[1], sources[2], sources[1], sources[0]):
        room.track.heard(source)
        room.send(source, source.highest + 1, vp8(900))
    room.send(sources[0], sources[0].highest + 1, vp8(901, key=True), 9000, 2.0)
    got = room.got()
    assert [packet.sequence - got[0].sequence for packet in got] == [0, 1]
    assert picture_id(got[1]) - picture_id(got[0]) == 1


def test_a_repaired_packet_goes_into_its_own_place_and_only_to_those_who_were_there() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    room.send(source, 10, vp8(10, key=True))
    room.send(source, 12, vp8(12))
    newcomer = Viewer()
    room.track.subscribe(Subscription("t", newcomer, 98, 99, 90_000))
    room.send(source, 14, vp8(14, key=True))
    room.send(source, 11, vp8(11))
    room.send(source, 13, vp8(13))
    room.send(source, 9, vp8(9))
    got = room.got()
    assert [packet.sequence - got[0].sequence for packet in got] == [0, 2, 4, 1, 3]
    assert len(newcomer.packets()) == 1


def test_a_viewer_who_waits_is_not_forgotten_when_the_key_frame_it_asked_for_comes_repaired() -> None:
    """Its first packet was lost and comes again, too late to start with: another key frame is needed."""
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    room.send(source, 0, vp8(0))
    assert source.requests.due(1.0)
    room.send(source, 2, vp8(1))
    room.send(source, 1, vp8(1, key=True))
    assert room.got() == []
    assert source.requests.due(1.6), "asked for again"
    room.send(source, 3, vp8(2, key=True))
    assert not source.requests.due(9.0)
    assert len(room.got()) == 1


def test_a_repaired_key_frame_satisfies_those_who_run() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    room.send(source, 0, vp8(0, key=True))
    source.want_key_frame()
    room.send(source, 2, vp8(1))
    room.send(source, 1, vp8(1, key=True))
    assert not source.requests.due(9.0)


def test_who_left_gets_nothing_more_and_comes_back_without_a_jump() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    room.send(source, 0, vp8(0, key=True))
    room.track.unsubscribe(room.subscription)
    room.track.unsubscribe(room.subscription)
    for index in range(1, 200):
        room.send(source, index, vp8(index, key=index % 50 == 0))
    assert source.targets == []
    room.track.subscribe(room.subscription)
    room.send(source, 200, vp8(200, key=True), 90_000, 5.0)
    got = room.got()
    assert [packet.sequence - got[0].sequence for packet in got] == [0, 1]


def test_the_orientation_is_forwarded_under_our_id() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    source.accept(0, 0, 0, vp8(0, key=True), 0, 3, 1.0)
    room.wakeup()
    assert room.got()[0].extension == b"\xbe\xde\x00\x01\x10\x03\x00\x00"


# --- reports


def test_sender_reports_keep_the_relation_of_the_source() -> None:
    room = Room()
    source = room.source(1)
    room.track.heard(source)
    assert room.subscription.sender_report(1.0, 5) is None
    room.send(source, 0, vp8(0, key=True), 3000, 1.0)
    (sent,) = room.got()
    (before,) = parse(room.subscription.sender_report(1.5, 77) or b"")
    assert isinstance(before, SenderReport)
    assert before.rtp_timestamp == (sent.timestamp + 45_000) & 0xFFFFFFFF
    source.sender_report(SenderReport(1, 5, 3000 + 9000, 1, 1), 1.3)
    source.last_report_sent = 1.2
    (after,) = parse(room.subscription.sender_report(2.2, 78) or b"")
    assert isinstance(after, SenderReport)
    assert (after.ssrc, after.ntp_timestamp) == (room.subscription.ssrc, 78)
    assert after.rtp_timestamp == (sent.timestamp + 9000 + 90_000) & 0xFFFFFFFF
    assert (after.packets, after.octets) == (1, len(sent.payload))


def test_what_the_viewer_reports_is_kept() -> None:
    subscription = Room().subscription
    subscription.reported(Report(subscription.ssrc, 64, 5, 0, 900, 0, 0), None)
    subscription.reported(Report(subscription.ssrc, 32, 6, 0, 800, 0, 0), 0.04)
    assert (subscription.fraction_lost, subscription.lost, subscription.jitter) == (32, 6, 800)
    assert subscription.round_trip_s == pytest.approx(0.04)
