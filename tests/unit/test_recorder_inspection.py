"""What is in a journal, counted."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import RecordingStopped, TrackMuteChanged
from recorder.inspection import MAX_PICTURES, Inspection, line
from recorder.journal import (
    JournalDropped,
    JournalEnd,
    JournalMute,
    JournalPacket,
    JournalPicture,
    JournalReception,
    JournalReport,
    Record,
)
from sfu.interfaces import Reception
from tests.support.journals import MS, ZERO_NS, S, audio_packets, file_header, track_header


def inspected(records: list[Record]) -> Inspection:
    inspection = Inspection()
    for record in records:
        inspection.take(record)
    return inspection


def test_packets_are_counted_with_what_is_missing_and_what_came_twice() -> None:
    packets = audio_packets([b"12345"] * 100)
    came = [*packets[:10], *packets[12:], packets[50], packets[51]]
    found = inspected([file_header(track_header("opus")), *came, JournalEnd(0, len(came))])
    assert (found.packets, found.missing, found.repeated) == (100, 2, 2)
    assert found.payload_bytes == 500
    assert found.first_ns == S
    assert found.promised == 100


def test_a_hole_at_either_end_cannot_be_known() -> None:
    found = inspected([file_header(track_header("opus")), *audio_packets([b"1"] * 10)[3:7]])
    assert (found.packets, found.missing, found.promised) == (4, 0, None)


def test_reports_drops_and_events_are_counted() -> None:
    found = inspected(
        [
            file_header(),
            JournalReport(ZERO_NS, 1, 2),
            JournalDropped(ZERO_NS, 7),
            JournalDropped(ZERO_NS, 3),
            TrackMuteChanged(take_id="t", muted=True, at_ns=1),
            TrackMuteChanged(take_id="t", muted=False, at_ns=2),
            RecordingStopped(stopped_ns=3),
        ]
    )
    assert (found.reports, found.dropped) == (1, 10)
    assert found.events == {"track_mute_changed": 2, "recording_stopped": 1}
    assert (found.packets, found.missing, found.repeated) == (0, 0, 0)


def test_pictures_mutes_and_the_last_reception_are_kept() -> None:
    pictures: list[Record] = [JournalPicture(ZERO_NS, n, n, n, "") for n in range(2 * MAX_PICTURES)]
    found = inspected(
        [
            file_header(track_header("vp8")),
            JournalMute(ZERO_NS, True),
            JournalMute(ZERO_NS, False),
            JournalMute(ZERO_NS, True),
            JournalReception(ZERO_NS, Reception(0, 1, 0, 0, 0, 0, 0)),
            JournalReception(ZERO_NS, Reception(9, 8, 7, 6, 5, 4, 3)),
            *pictures,
        ]
    )
    assert (found.mutes, found.reception) == (2, Reception(9, 8, 7, 6, 5, 4, 3))
    assert found.pictures == pictures[:MAX_PICTURES]


def test_the_rate_is_kept_by_second_of_the_session_and_not_without_bound() -> None:
    at = [0, 999 * MS, S, 5 * S, -S, 10**9 * S]
    packets = [JournalPacket(ZERO_NS + ns, n, 0, False, b"1234") for n, ns in enumerate(at)]
    found = inspected([file_header(track_header("opus")), *packets])
    assert found.bytes_by_second == {0: 8, 1: 4, 5: 4}
    assert found.packets == 6


@given(st.lists(st.integers(-50, 50), max_size=40))
def test_what_came_and_what_is_missing_cover_all_numbers_once(sequences: list[int]) -> None:
    found = inspected([JournalPacket(ZERO_NS, number, 0, False, b"") for number in sequences])
    span = max(sequences) - min(sequences) + 1 if sequences else 0
    assert found.packets - found.repeated + found.missing == span


def test_every_record_is_a_line_of_json_with_its_time() -> None:
    header = file_header(track_header("vp8"))
    lines = [
        line(record, ZERO_NS)
        for record in (
            header,
            JournalPacket(ZERO_NS + 1500 * MS, 7, 8, True, b"payload"),
            JournalReport(ZERO_NS - S, 1, 2),
            JournalDropped(ZERO_NS, 3),
            JournalPicture(ZERO_NS, 7, 640, 360, "h"),
            JournalMute(ZERO_NS, True),
            JournalReception(ZERO_NS, Reception(1, 2, 3, 4, 5, 6, 7)),
            JournalEnd(ZERO_NS + 2 * S, 4),
            RecordingStopped(stopped_ns=3),
        )
    ]
    assert lines[1:] == [
        {"record": "packet", "at_s": 1.5, "sequence": 7, "timestamp": 8, "marker": True, "payload_bytes": 7},
        {"record": "sender_report", "at_s": -1.0, "ntp_timestamp": 1, "rtp_timestamp": 2},
        {"record": "dropped", "at_s": 0.0, "packets": 3},
        {"record": "picture", "at_s": 0.0, "sequence": 7, "width": 640, "height": 360, "rid": "h"},
        {"record": "muted", "at_s": 0.0, "muted": True},
        {"record": "reception", "at_s": 0.0, **Reception(1, 2, 3, 4, 5, 6, 7)._asdict()},
        {"record": "end", "at_s": 2.0, "packets": 4},
        {"record": "event", "type": "recording_stopped", "stopped_ns": 3, "reason": ""},
    ]
    assert json.loads(msgspec.json.encode(lines[0]))["track"]["stream"]["codec"] == "vp8"
