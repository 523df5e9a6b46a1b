"""Silence that an encoder leaves out (DTX, RFC 7587 3.1.3) is told from loss: what was sent has no number missing."""

from pathlib import Path

import pytest

from recorder.grading import grade_take
from recorder.journal import JournalPacket
from recorder.manifest import Segment, Take
from recorder.report import AudioFigures, SegmentFigures
from tests.support.encoded import opus_packets
from tests.support.files import inspect
from tests.support.journals import MS, S, audio_packets, make_file

PACKETS = 300
SILENCE = range(100, 200)
"""Two seconds in the middle of six."""
REFRESH = 20
"""In silence every so many packets one is sent."""


def spoken(dtx: bool) -> list[JournalPacket]:
    """20 ms each; with DTX numbered as they were sent."""
    packets = audio_packets(opus_packets(PACKETS))
    if not dtx:
        return packets
    sent = [p for n, p in enumerate(packets) if n not in SILENCE or (n - SILENCE.start) % REFRESH == REFRESH - 1]
    return [packet._replace(sequence=packets[0].sequence + number) for number, packet in enumerate(sent)]


def reasons(segment: Segment) -> set[str]:
    return {gap.reason for gap in segment.gaps}


@pytest.mark.pain("3")
def test_the_file_is_as_long_with_dtx_and_without(tmp_path: Path) -> None:
    whole, _ = make_file("opus", spoken(dtx=False), tmp_path / "off")
    left_out, path = make_file("opus", spoken(dtx=True), tmp_path / "on")
    assert whole.gaps == []
    assert whole.duration_ns == left_out.duration_ns == 6 * S
    assert inspect(path).sound
    assert inspect(path).stream("audio").samples == pytest.approx(6 * 48_000, abs=648)
    assert [(gap.reason, gap.duration_ns) for gap in left_out.gaps] == [("dtx", 380 * MS)] * 5
    assert left_out.packets is not None
    assert (left_out.packets.lost, left_out.packets.concealed) == (0, 95)


def test_a_packet_that_is_lost_in_the_silence_is_not_called_dtx(tmp_path: Path) -> None:
    packets = spoken(dtx=True)
    refresh = packets[SILENCE.start + 1]
    segment, _ = make_file("opus", [packet for packet in packets if packet is not refresh], tmp_path)
    assert [gap.reason for gap in segment.gaps] == ["dtx", "lost", "dtx", "dtx"]
    assert segment.duration_ns == 6 * S


@pytest.mark.parametrize("place", [SILENCE.start - 1, SILENCE.start, SILENCE.start + 2, SILENCE.start + 5])
def test_a_repaired_packet_leaves_silence_what_it_is(place: int, tmp_path: Path) -> None:
    """It is missed when the next one comes, and is there 60 ms later."""
    packets = spoken(dtx=True)
    late = packets[place]._replace(arrival_ns=packets[place + 1].arrival_ns + 60 * MS)
    arrivals = sorted([*packets[:place], late, *packets[place + 1 :]], key=lambda packet: packet.arrival_ns)
    segment, _ = make_file("opus", arrivals, tmp_path)
    assert [(gap.reason, gap.duration_ns) for gap in segment.gaps] == [("dtx", 380 * MS)] * 5


def test_more_than_an_encoder_leaves_out_is_a_pause(tmp_path: Path) -> None:
    """Nothing for two seconds: the sender was on hold."""
    packets = [packet for number, packet in enumerate(audio_packets(opus_packets(PACKETS))) if number not in SILENCE]
    numbered = [packet._replace(sequence=packets[0].sequence + number) for number, packet in enumerate(packets)]
    segment, _ = make_file("opus", numbered, tmp_path)
    assert reasons(segment) == {"paused"}


def test_dtx_costs_no_grade_and_a_pause_does(tmp_path: Path) -> None:
    take = Take(take_id="t", participant_id="p", kind="microphone", slot=0)
    take.segments = [Segment(segment_id="s", copy="server", state="stored", duration_ns=60 * S)]
    sound = AudioFigures(packets=1, samples=1)
    grades = [
        grade_take(take, {"s": SegmentFigures(gaps_ms={reason: 2_000}, audio=sound)}).grade
        for reason in ("dtx", "paused", "lost")
    ]
    assert grades == ["A", "B", "D"]
