"""Received streams with real keys: each authentic packet once, whatever else comes. Virtual time."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.encoding import Encoding
from sfu.interfaces import Reception
from sfu.rtcp import SenderReport
from sfu.rtp import JUMP
from sfu.srtp import WINDOW
from sfu.streams import RepairStream
from sfu.tap import RECEPTION_S
from sfu.twcc import MAX_PENDING
from tests.support.sfu_client import Tap
from tests.support.sfu_media import (
    H264,
    OPUS,
    ORIENTATION_ID,
    RTX_PAYLOAD_TYPE,
    TRANSPORT_SEQUENCE_ID,
    VP8,
    Publisher,
    encoding,
    one_byte_extensions,
    receive_keys,
    vp8,
)

RTX_SSRC = 2222


class Stream:
    """An encoding, its publisher, and a tap that keeps what was accepted."""

    def __init__(self, codec: object = VP8, first_index: int = 0) -> None:
        self.touched: list[Encoding] = []
        self.encoding = encoding(codec, 1111, first_index, self.touched)  # type: ignore[arg-type]
        self.publisher = Publisher(1111, self.encoding.payload_type)
        self.tap = Tap()
        self.encoding.record(self.tap, 0.0)
        self.rtx_publisher = Publisher(RTX_SSRC, RTX_PAYLOAD_TYPE)
        self.rtx = RepairStream(
            RTX_SSRC,
            RTX_PAYLOAD_TYPE,
            0,
            receive_keys(),
            self.encoding._layouts,
            self.encoding._arrivals,
            self.encoding,
        )

    def take(self, packet: bytes, now: float = 1.0) -> None:
        first, second, sequence, timestamp, _ = struct.unpack_from("!BBHII", packet)
        self.encoding.receive(packet, first, second, sequence, timestamp, now)

    def take_rtx(self, packet: bytes, now: float = 1.0) -> None:
        first, second, sequence, timestamp, _ = struct.unpack_from("!BBHII", packet)
        self.rtx.receive(packet, first, second, sequence, timestamp, now)

    def send(self, *indices: int, now: float = 1.0) -> None:
        for index in indices:
            self.take(self.publisher.seal(index, b"%d" % index), now)

    @property
    def indices(self) -> list[int]:
        return [packet[0] for packet in self.tap.packets]


def test_an_authentic_packet_is_accepted_as_it_was_sent() -> None:
    stream = Stream()
    stream.take(stream.publisher.seal(5, b"media", timestamp=90_000, marker=True), now=3.0)
    assert stream.tap.packets == [(5, 90_000, True, b"media")]
    assert stream.touched == [stream.encoding]
    assert (stream.encoding.packets, stream.encoding.octets, stream.encoding.highest) == (1, 5, 5)
    assert (stream.encoding.last_timestamp, stream.encoding.last_arrival) == (90_000, 3.0)


def test_a_packet_sent_five_times_is_taken_once() -> None:
    stream = Stream()
    packet = stream.publisher.seal(5, b"media")
    for _ in range(5):
        stream.take(packet)
    assert stream.indices == [5]
    assert stream.encoding.replayed == 4


@given(st.lists(st.integers(0, 60), max_size=80))
def test_in_any_order_with_any_repetition_each_index_is_taken_once(order: list[int]) -> None:
    stream = Stream(first_index=30)
    stream.send(*order)
    assert stream.indices == list(dict.fromkeys(order))
    assert stream.encoding.replayed == len(order) - len(set(order))


def test_a_touched_packet_fails_and_the_true_one_is_taken_afterwards() -> None:
    stream = Stream()
    packet = stream.publisher.seal(5, b"media")
    for place in (1, 3, 7, 11, 12, len(packet) - 1):
        touched = bytearray(packet)
        touched[place] ^= 0x40
        stream.take(bytes(touched))
    assert stream.encoding.failed == 6
    stream.take(packet)
    assert stream.indices == [5]
    assert stream.encoding.highest == 5


def test_a_forged_sequence_number_far_ahead_does_not_move_the_stream() -> None:
    stream = Stream()
    stream.send(0, 1)
    forged = bytearray(stream.publisher.seal(2, b"media"))
    forged[2:4] = (20_000).to_bytes(2, "big")
    stream.take(bytes(forged))
    stream.send(2)
    assert stream.indices == [0, 1, 2]
    assert len(stream.encoding.missing) == 0


def test_a_wrong_payload_type_is_counted_once_and_not_taken() -> None:
    stream = Stream()
    packet = stream.publisher.seal(
        5, b"media", payload_type=45, extensions=one_byte_extensions((TRANSPORT_SEQUENCE_ID, b"\x00\x07"))
    )
    for _ in range(3):
        stream.take(packet)
    assert stream.indices == []
    assert (stream.encoding.wrong_type, stream.encoding.replayed) == (1, 2)
    assert stream.encoding._arrivals.arrivals == [(7, 1.0)]


def test_no_length_of_noise_and_no_truncation_raises() -> None:
    stream, noise = Stream(), random.Random(1)
    whole = stream.publisher.seal(5, bytes(1400), extensions=one_byte_extensions((TRANSPORT_SEQUENCE_ID, b"\x00\x07")))
    for size in range(12, 1501):
        stream.take((bytes((0x80 | noise.randrange(64), 96)) + noise.randbytes(size))[:size])
        if size < len(whole):
            stream.take(whole[:size])
    assert stream.encoding.packets == 0
    stream.take(whole)
    assert stream.encoding.packets == 1


def test_fifteen_csrcs_in_a_packet_that_has_none_are_no_trouble() -> None:
    stream = Stream()
    packet = bytearray(stream.publisher.seal(5, b"media"))
    packet[0] |= 15
    stream.take(bytes(packet))
    packet[0] |= 0x10
    stream.take(bytes(packet))
    assert stream.encoding.failed == 2


def test_padding_is_not_given_to_the_tap_and_padding_only_is_empty() -> None:
    stream = Stream()
    stream.take(stream.publisher.seal(5, b"media", padding=7))
    stream.take(stream.publisher.seal(6, b"", padding=200))
    stream.take(stream.publisher.seal(7, b"\xff" * 9 + b"\xff", padding=0))
    assert [packet[3] for packet in stream.tap.packets] == [b"media", b"", b"\xff" * 10]


def test_a_lie_about_the_padding_leaves_an_empty_payload() -> None:
    stream = Stream()
    packet = Publisher(1111, VP8.payload_type)
    lie = packet._keys.protect(struct.pack("!BBHII", 0xA0, 96, 5, 0, 1111), b"abc\xff", 1111, 5)
    stream.take(lie)
    assert [p[3] for p in stream.tap.packets] == [b""]


def test_arrivals_and_orientation_are_read_from_the_extensions() -> None:
    stream = Stream()
    extensions = one_byte_extensions((TRANSPORT_SEQUENCE_ID, b"\x12\x34"), (ORIENTATION_ID, b"\x02"))
    stream.take(stream.publisher.seal(5, b"media", extensions=extensions), now=2.0)
    assert stream.encoding._arrivals.arrivals == [(0x1234, 2.0)]
    kept = stream.encoding.history.get(5)
    assert kept is not None
    assert kept.extension == b"\xbe\xde\x00\x01\x10\x02\x00\x00"


def test_arrivals_that_nobody_reports_are_capped() -> None:
    stream = Stream()
    for index in range(MAX_PENDING + 50):
        extensions = one_byte_extensions((TRANSPORT_SEQUENCE_ID, (index & 0xFFFF).to_bytes(2, "big")))
        stream.take(stream.publisher.seal(index, b"media", extensions=extensions))
    assert len(stream.encoding._arrivals.arrivals) == MAX_PENDING
    assert stream.encoding.packets == MAX_PENDING + 50


# --- gaps, jumps, wraps


def test_skipped_numbers_are_missing_until_they_come() -> None:
    stream = Stream()
    stream.send(0, 1, 4)
    assert stream.encoding.missing.due(1.1, 1.5) == [2, 3]
    stream.send(3)
    assert stream.encoding.missing.due(2.0, 1.5) == [2]
    assert stream.indices == [0, 1, 4, 3]


def test_the_sequence_number_wraps_into_the_next_rollover() -> None:
    stream = Stream(first_index=65_530)
    stream.send(*range(65_530, 65_545))
    assert stream.indices == list(range(65_530, 65_545))
    stream.send(*range(91_060, 161_060, 10_000))
    assert stream.encoding.highest == 151_060


def test_a_packet_from_before_the_wrap_that_comes_late_is_taken() -> None:
    stream = Stream(first_index=65_530)
    stream.send(65_530, 65_531, 65_533, 65_536, 65_532)
    assert stream.indices[-1] == 65_532


def test_a_jump_ahead_is_a_new_start_and_not_a_hole() -> None:
    stream = Stream()
    stream.send(0, JUMP + 5)
    assert stream.encoding.highest == JUMP + 5
    assert len(stream.encoding.missing) == 0
    stream.send(JUMP + 6)
    assert stream.indices == [0, JUMP + 5, JUMP + 6]


def test_what_is_older_than_the_window_is_refused() -> None:
    stream = Stream()
    stream.send(10, 10 + WINDOW)
    stream.send(10, 9)
    assert stream.indices == [10, 10 + WINDOW]
    assert stream.encoding.replayed == 2
    stream.send(11)
    assert stream.indices[-1] == 11


@pytest.mark.parametrize("jump", [32_767, 32_769, 45_536, 61_000])
@pytest.mark.parametrize("first", [0, 30_000, 65_530, 200_000])
def test_a_jump_by_more_than_half_of_the_numbers_is_followed_into_the_next_rollover(first: int, jump: int) -> None:
    """What looks like a jump backwards by 16 bits, and is none by the sender's rollover counter."""
    stream = Stream(first_index=first)
    stream.send(first, first + 1, first + 1 + jump, first + 2 + jump)
    assert stream.indices == [first, first + 1, first + 1 + jump, first + 2 + jump]
    assert len(stream.encoding.missing) == 0
    assert stream.encoding.replayed == 0
    stream.send(first, first + 1)
    assert stream.encoding.replayed + stream.encoding.failed == 2, "what was taken before is not taken again"
    assert len(stream.indices) == 4


def test_a_jump_backwards_is_refused_until_the_numbers_are_new_again() -> None:
    stream = Stream(first_index=40_000)
    stream.send(40_000)
    stream.send(8_000)
    assert stream.indices == [40_000]
    stream.send(40_001)
    assert stream.indices == [40_000, 40_001]


def test_numbers_before_the_first_rollover_do_not_exist() -> None:
    stream = Stream()
    stream.send(0)
    stream.take(stream.publisher.seal(5 * 65_536 - 1, b"would be index -1"))
    assert stream.indices == [0]


def test_a_jump_of_the_timestamp_does_not_spoil_the_jitter() -> None:
    stream = Stream(OPUS)
    for number in range(50):
        stream.take(stream.publisher.seal(number, b"x", timestamp=960 * number), now=0.02 * number)
    calm = stream.encoding.jitter
    stream.take(stream.publisher.seal(50, b"x", timestamp=0x7FFFFFFF), now=1.0)
    assert stream.encoding.jitter == calm


# --- RTX


def rtx(stream: Stream, index: int, original: int, payload: bytes, **how: object) -> bytes:
    return stream.rtx_publisher.seal(index, (original & 0xFFFF).to_bytes(2, "big") + payload, **how)  # type: ignore[arg-type]


def test_a_retransmission_is_given_back_as_the_original() -> None:
    stream = Stream()
    stream.send(0, 1, 3)
    stream.take_rtx(rtx(stream, 900, 2, b"two", timestamp=77, marker=True))
    assert stream.tap.packets[-1] == (2, 77, True, b"two")
    assert (stream.rtx.repaired, len(stream.encoding.missing)) == (1, 0)


def test_what_comes_both_ways_counts_once_in_either_order() -> None:
    stream = Stream()
    stream.send(0, 1, 3)
    stream.take_rtx(rtx(stream, 0, 2, b"2"))
    stream.send(2)
    stream.take_rtx(rtx(stream, 1, 3, b"3"))
    assert stream.indices == [0, 1, 3, 2]
    assert stream.encoding.packets == 4


def test_a_replayed_retransmission_counts_once() -> None:
    stream = Stream()
    stream.send(0, 1, 3)
    packet = rtx(stream, 5, 2, b"2")
    for _ in range(5):
        stream.take_rtx(packet)
    assert stream.indices == [0, 1, 3, 2]
    assert stream.rtx.replayed == 4


def test_a_retransmission_from_before_the_wrap_finds_its_place() -> None:
    stream = Stream(first_index=65_534)
    stream.send(65_534, 65_536)
    stream.take_rtx(rtx(stream, 0, 65_535, b"late"))
    assert stream.indices == [65_534, 65_536, 65_535]


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x02"])
def test_a_retransmission_without_a_payload_is_a_probe(payload: bytes) -> None:
    stream = Stream()
    stream.send(0, 3)
    stream.take_rtx(stream.rtx_publisher.seal(0, payload))
    stream.take_rtx(stream.rtx_publisher.seal(1, payload, padding=100))
    assert stream.rtx.probes == 2
    assert stream.indices == [0, 3]


def test_a_retransmission_under_another_payload_type_is_not_taken() -> None:
    stream = Stream()
    stream.send(0, 3)
    stream.take_rtx(rtx(stream, 0, 2, b"media", payload_type=96))
    assert stream.indices == [0, 3]


def test_padding_of_a_retransmission_is_stripped() -> None:
    stream = Stream()
    stream.send(0, 2)
    stream.take_rtx(rtx(stream, 0, 1, b"one", padding=50))
    assert stream.tap.packets[-1][3] == b"one"


# --- key frames


def test_key_frames_are_counted_and_fulfil_the_wish() -> None:
    stream = Stream()
    stream.encoding.want_key_frame()
    assert stream.encoding.requests.due(1.0)
    stream.take(stream.publisher.seal(0, vp8(1, key=True)))
    assert stream.encoding.key_frames == 1
    assert not stream.encoding.requests.due(9.0)


def test_audio_has_no_key_frames_to_ask_for() -> None:
    stream = Stream(OPUS)
    stream.encoding.want_key_frame()
    assert not stream.encoding.requests.due(1.0)


def test_video_of_another_codec_is_not_taken_for_vp8() -> None:
    stream = Stream(H264)
    stream.take(stream.publisher.seal(0, vp8(1, key=True)))
    kept = stream.encoding.history.get(0)
    assert kept is not None
    assert kept.descriptor.size_bytes == 0


# --- taps


class Broken(Tap):
    """Fails at one of its calls."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self._call = call

    def packet(self, *arguments: object) -> None:
        self._fail("packet")
        super().packet(*arguments)  # type: ignore[arg-type]

    def sender_report(self, *arguments: object) -> None:
        self._fail("sender_report")

    def muted(self, now_s: float, muted: bool) -> None:
        self._fail("muted")

    def picture(self, arrival_s: float, index: int, width: int, height: int, rid: str) -> None:
        self._fail("picture")

    def reception(self, now_s: float, reception: Reception) -> None:
        self._fail("reception")

    def end(self, now_s: float) -> None:
        self._fail("end")

    def _fail(self, call: str) -> None:
        if call == self._call:
            raise OSError("disk")


def test_a_tap_that_fails_ends_and_the_packet_is_forwarded_all_the_same() -> None:
    stream = Stream()
    stream.encoding.record(broken := Broken("packet"), 1.0)
    stream.send(0, 1)
    assert broken.packets == []
    assert stream.encoding.packets == 2
    assert stream.encoding.history.get(1) is not None
    assert stream.encoding.tap_failures == 1
    stream.encoding.end_tap(2.0)


def test_a_tap_that_fails_at_a_sender_report_ends_and_the_report_counts() -> None:
    stream = Stream()
    stream.encoding.record(Broken("sender_report"), 1.0)
    report = SenderReport(1111, 5, 6, 7, 8)
    stream.encoding.sender_report(report, 2.0)
    stream.encoding.sender_report(report, 3.0)
    assert stream.encoding.last_report_arrival == 3.0
    assert stream.encoding.tap_failures == 1


def test_a_tap_that_fails_at_its_end_hinders_nobody() -> None:
    stream = Stream()
    stream.encoding.record(Broken("end"), 1.0)
    stream.encoding.end_tap(2.0)
    stream.encoding.end_tap(2.0)
    assert stream.encoding.tap_failures == 1


@pytest.mark.parametrize("call", ["muted", "picture", "reception"])
def test_a_tap_that_fails_at_what_is_said_beside_the_packets_ends(call: str) -> None:
    stream = encoding(VP8)
    stream.record(Broken(call), 1.0)
    stream.accept(0, 128, 0, vp8(0, key=True), 0, -1, 1.0)
    stream.tell_muted(1.1, True)
    stream.tick(1.0 + RECEPTION_S)
    assert stream.tap_failures == 1
    stream.accept(1, 128, 3000, vp8(1, key=True, size=(1280, 720)), 0, -1, 20.0)
    stream.end_tap(21.0)
    assert (stream.tap_failures, stream.packets) == (1, 2)


def test_a_tap_gets_sender_reports_and_one_end() -> None:
    stream = Stream()
    stream.encoding.sender_report(SenderReport(1111, 5, 6, 7, 8), 2.0)
    stream.encoding.end_tap(3.0)
    stream.send(0)
    assert (stream.tap.reports, stream.tap.ended, stream.tap.packets) == ([(5, 6)], True, [])
