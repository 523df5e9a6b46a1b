"""Payloads that no honest sender makes, between honest frames: they cost themselves, and the file stays whole."""

import struct
from pathlib import Path

import pytest

from recorder.journal import JournalPacket
from recorder.manifest import PacketCounts
from tests.support.encoded import opus_packets
from tests.support.files import inspect
from tests.support.journals import ZERO_NS, S, audio_packets, make_file, video_packets
from tests.support.payloads import PAYLOADS, encode

KEY_FRAME = 30
"""Each `encode` gives two key frames: the first frame and this one."""

VP8_HEAD = b"\x90\x80\x80\x05"
HOSTILE = {
    "vp8": {
        "a descriptor that is cut": b"\x90\x80",
        "a descriptor and nothing else": VP8_HEAD,
        "a key frame without its start code": VP8_HEAD + b"\x10\x00\x00" + bytes(20),
        "a key frame of no size": VP8_HEAD + b"\x10\x00\x00\x9d\x01\x2a" + bytes(4) + bytes(20),
        "a frame without its beginning": b"\x80\x80\x80\x05" + bytes(20),
        "an extension without its bytes": b"\x80",
    },
    "h264": {
        "a unit without a type": b"\x00",
        "FU-A that ends at once": b"\x7c\x85",
        "FU-A that never ends": b"\x7c\x85" + bytes(100),
        "FU-A that never began": b"\x7c\x45" + bytes(100),
        "STAP-A of size 0": b"\x78\x00\x00\x67",
        "STAP-A beyond its packet": b"\x78\xff\xff\x67\x42",
        "STAP-B": b"\x79" + bytes(20),
        "FU-B": b"\x7d" + bytes(20),
        "an IDR picture that is cut": b"\x65",
    },
    "opus": {
        "nothing": b"",
        "frames of a count that is missing": b"\x7b",
        "more than 120 ms": b"\x7b\x3f" + bytes(60),
        "two frames of unequal size, cut": b"\x7a\xff",
        "padding without an end": b"\x7b\x41" + b"\xff" * 30,
    },
}
CASES = [(codec, name) for codec in HOSTILE for name in HOSTILE[codec]]


def accounted(counts: PacketCounts | None) -> bool:
    assert counts is not None
    damaged = counts.malformed + counts.incomplete + counts.cut_short + counts.awaiting_key
    unplaced = counts.duplicate + counts.late + counts.stray + counts.empty + counts.overlapping
    return counts.received == counts.written + damaged + unplaced


def between(honest: list[JournalPacket], hostile: list[bytes], before: int) -> list[JournalPacket]:
    """`hostile` as a frame each, with numbers of their own, just before the packet in this place."""
    first = honest[before]
    bad = [
        first._replace(
            sequence=first.sequence + n,
            timestamp=first.timestamp - (len(hostile) - n) * 500 & 0xFFFFFFFF,
            marker=True,
            payload=payload,
        )
        for n, payload in enumerate(hostile)
    ]
    after = [packet._replace(sequence=packet.sequence + len(hostile)) for packet in honest[before:]]
    return honest[:before] + bad + after


def video(codec: str, frames: int = 60) -> tuple[list[JournalPacket], int]:
    """Honest packets, and the place of the first one of the second key frame."""
    encoded = encode(codec, frames)
    packets = video_packets(encoded, PAYLOADS[codec])
    place = sum(len(list(PAYLOADS[codec](frame, n))) for n, frame in enumerate(encoded[:KEY_FRAME]))
    return packets, place


@pytest.mark.parametrize(("codec", "name"), [case for case in CASES if case[0] != "opus"])
def test_a_payload_that_means_nothing_costs_no_honest_frame(codec: str, name: str, tmp_path: Path) -> None:
    honest, place = video(codec)
    segment, path = make_file(codec, between(honest, [HOSTILE[codec][name]] * 3, place), tmp_path)
    report = inspect(path)
    assert report.sound, report
    assert report.stream("video").frames == 60
    assert accounted(segment.packets)
    assert segment.packets is not None
    assert segment.packets.received - segment.packets.written == 3


def test_a_picture_of_an_absurd_size_costs_itself(tmp_path: Path) -> None:
    """16,383 by 16,383, and no picture: its head is a key frame's, so it is written; a decoder leaves it out."""
    honest, place = video("vp8")
    absurd = VP8_HEAD + b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383) + b"\xff" * 40
    segment, path = make_file("vp8", between(honest, [absurd] * 3, place), tmp_path)
    report = inspect(path)
    assert not report.demux_error
    stream = report.stream("video")
    assert stream.sizes == {(320, 240): 60}
    assert stream.monotonic
    assert stream.decode_errors <= 3
    assert accounted(segment.packets)


@pytest.mark.parametrize("name", HOSTILE["opus"])
def test_a_packet_of_sound_that_means_nothing_costs_its_own_time_at_most(name: str, tmp_path: Path) -> None:
    honest = audio_packets(opus_packets(200))
    mixed = [p._replace(payload=HOSTILE["opus"][name]) if n % 40 == 20 else p for n, p in enumerate(honest)]
    segment, path = make_file("opus", mixed, tmp_path)
    report = inspect(path)
    assert report.sound, report
    assert report.stream("audio").samples >= 194 * 960
    assert segment.packets is not None
    assert segment.packets.written >= 195, "one whose first byte says how long it is may be written"
    assert segment.packets.written + segment.packets.concealed == 200
    assert accounted(segment.packets)


def test_silence_of_any_length_that_a_packet_can_have_keeps_its_place(tmp_path: Path) -> None:
    """DTX and packets of 120 ms between those of 20 ms."""
    voice = opus_packets(60)
    payloads, stamps, now = [], [], 0
    for n, payload in enumerate(voice):
        long = n % 10 == 5
        payloads.append(bytes((payload[0] | 3, 6)) if long else payload)
        stamps.append(now)
        now += 6 * 960 if long else 960
    packets = [
        JournalPacket(ZERO_NS + S + stamp * 1_000_000 // 48, 65_530 + n, stamp, False, payload)
        for n, (payload, stamp) in enumerate(zip(payloads, stamps, strict=True))
    ]
    segment, path = make_file("opus", packets, tmp_path)
    assert inspect(path).stream("audio").samples == pytest.approx(now, abs=960)
    assert segment.gaps == []
    assert accounted(segment.packets)


@pytest.mark.parametrize("jump", [4_000, 32_768, 40_000, 1 << 20])
def test_numbers_that_jump_are_a_gap_in_the_list_and_none_in_the_sound(jump: int, tmp_path: Path) -> None:
    honest = audio_packets(opus_packets(300))
    jumped = honest[:150] + [packet._replace(sequence=packet.sequence + jump) for packet in honest[150:]]
    segment, path = make_file("opus", jumped, tmp_path)
    report = inspect(path)
    assert report.sound, report
    assert report.stream("audio").samples == pytest.approx(300 * 960, abs=960)
    assert segment.packets is not None
    assert (segment.packets.written, segment.packets.lost) == (300, jump)


@pytest.mark.parametrize("jump_s", [-20.0, 2.0, 3600.0])
def test_a_timestamp_that_jumps_for_good_is_taken_back_and_written_down(jump_s: float, tmp_path: Path) -> None:
    honest = audio_packets(opus_packets(400))
    moved = [p._replace(timestamp=p.timestamp + round(jump_s * 48_000) & 0xFFFFFFFF) for p in honest[200:]]
    segment, path = make_file("opus", honest[:200] + moved, tmp_path)
    report = inspect(path)
    assert report.sound, report
    assert segment.duration_ns == pytest.approx(8 * S, abs=0.3 * S)
    (correction,) = [c for c in segment.corrections if c.applied_ns]
    assert correction.applied_ns == pytest.approx(-jump_s * S, abs=0.3 * S)
    assert accounted(segment.packets)


@pytest.mark.parametrize("rate_hz", [24_000, 44_100])
def test_a_clock_that_is_slower_than_agreed_is_corrected_and_written_down(rate_hz: int, tmp_path: Path) -> None:
    honest = audio_packets(opus_packets(500))
    lying = [packet._replace(timestamp=packet.timestamp * rate_hz // 48_000) for packet in honest]
    segment, path = make_file("opus", lying, tmp_path)
    report = inspect(path)
    assert report.sound, report
    assert segment.corrections
    assert segment.duration_ns < 1.3 * 10 * S, "near the time that passed, whatever the clock says"
    assert accounted(segment.packets)
