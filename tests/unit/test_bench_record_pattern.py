"""What is noted of a browser's packets, and the file that is made of it."""

import struct

from bench.load import CAMERA, MICROPHONE, RECORD
from bench.record_pattern import Seen, described, pattern, read
from tests.support import srtp


def packet(payload_type: int, timestamp: int, payload: bytes, *, marker: bool = False) -> bytes:
    header = struct.pack("!BBHII", 0x90, payload_type | marker << 7, 1, timestamp, 7) + b"\xbe\xde\0\1\x31\0\1\0"
    return header + payload + bytes(srtp.TAG_BYTES)


def test_a_packet_shows_its_kind_time_and_payload_size_without_its_keys() -> None:
    assert read(packet(96, 3000, bytes(700), marker=True), 5) == Seen(5, CAMERA, 1, 3000, 700)
    assert read(packet(111, 960, bytes(80)), 6) == Seen(6, MICROPHONE, 0, 960, 80)


def test_repairs_reports_and_checks_are_left_out() -> None:
    assert read(packet(97, 0, bytes(700)), 0) is None
    assert read(b"\x80\xc8" + bytes(40), 0) is None
    assert read(b"\0\1" + bytes(40), 0) is None
    assert read(b"\x90", 0) is None
    assert read(b"", 0) is None


def test_a_file_begins_with_a_whole_frame_and_counts_from_there() -> None:
    seen = [Seen(0, CAMERA, 0, 50, 1)]  # too long ago
    for frame in range(4):
        at_ns = 1_000_000_000 + 33_000_000 * frame
        seen += [
            Seen(at_ns, CAMERA, 0, 100 + 3000 * frame, 600),
            Seen(at_ns + 20_000, CAMERA, 1, 100 + 3000 * frame, 601),
        ]
        seen.append(Seen(at_ns + 5_000_000, MICROPHONE, 0, 0xFFFF_FFFF + 960 * frame & 0xFFFF_FFFF, 80))
    records = list(RECORD.iter_unpack(pattern(seen, 0.5)))
    assert records[:4] == [
        (0, 80, MICROPHONE, 0, 0),
        (28_000, 600, CAMERA, 0, 0),
        (28_020, 601, CAMERA, 1, 0),
        (33_000, 80, MICROPHONE, 0, 960),
    ]
    assert len(records) == 12 - 2
    assert described(records, 1.0).splitlines() == [
        "camera: 6 packets, 29 kbit/s, 2.0 a frame",
        "microphone: 4 packets, 3 kbit/s",
    ]
