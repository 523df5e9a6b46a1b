"""A machine or a network that stalls for seconds costs no frame; a wrong timestamp costs no decodable file."""

from pathlib import Path

import pytest

from recorder.journal import JournalPacket
from tests.support import counter
from tests.support.encoded import vp8_frames, vp8_payloads
from tests.support.files import inspect
from tests.support.journals import MS, ZERO_NS, S, make_file, video_packets

FRAMES = 240


@pytest.fixture(scope="module")
def camera() -> list[JournalPacket]:
    return video_packets(vp8_frames(FRAMES, keyframe_every=120), vp8_payloads)


def stalled(packets: list[JournalPacket]) -> list[JournalPacket]:
    """From 2 s to 3.5 s everything comes 350 ms late; then for 2 s every other frame comes up to 340 ms late."""
    out = []
    for packet in packets:
        at_ns = packet.arrival_ns - ZERO_NS - S
        late_ns = 0
        if 2 * S <= at_ns < 3.5 * S:
            late_ns = 350 * MS
        elif 3.5 * S <= at_ns < 5.5 * S:
            late_ns = at_ns // (100 * MS) % 2 * 340 * MS
        out.append(packet._replace(arrival_ns=packet.arrival_ns + round(late_ns)))
    return sorted(out, key=lambda packet: packet.arrival_ns)


def test_a_stall_and_its_recovery_cost_no_frame(camera: list[JournalPacket], tmp_path: Path) -> None:
    segment, path = make_file("vp8", stalled(camera), tmp_path)
    assert inspect(path).sound
    assert [reading.number for reading in counter.read_file(path)] == list(range(FRAMES))
    assert segment.packets is not None
    assert (segment.packets.stray, segment.packets.overlapping, segment.packets.awaiting_key) == (0, 0, 0)


@pytest.mark.parametrize("ahead_s", [0.5, 3.0, 100.0, -0.5, -100.0])
def test_a_wrong_timestamp_costs_the_frames_up_to_the_next_key_frame_and_no_more(
    camera: list[JournalPacket], tmp_path: Path, ahead_s: float
) -> None:
    wrong = camera[0].timestamp + 60 * 3000 & 0xFFFFFFFF
    packets = [
        packet._replace(timestamp=round(wrong + ahead_s * 90_000) & 0xFFFFFFFF) if packet.timestamp == wrong else packet
        for packet in camera
    ]
    segment, path = make_file("vp8", packets, tmp_path)
    assert inspect(path).sound
    numbers = [reading.number for reading in counter.read_file(path)]
    assert numbers == [*range(60), *range(120, FRAMES)]
    assert [gap.reason for gap in segment.gaps] == ["lost"]
