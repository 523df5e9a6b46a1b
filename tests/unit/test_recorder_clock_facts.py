"""What is noted of a sender's clocks: the quickest of each block, in the right piece, bounded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recorder.clock_facts
from recorder.clock_facts import BLOCK_NS, ClockFacts, ClockNotes, FrameBlock, ReportBlock, RoundTripNote
from recorder.frames import MediaFrame
from tests.support.journals import MS, ZERO_NS, S

RATE = 48_000


def frame(arrival_ns: int, *, on_time: bool = True) -> MediaFrame:
    return MediaFrame(0, arrival_ns, on_time, b"", True, None, 960, 1, "")


def begun(offset_ticks: int = 0) -> ClockNotes:
    notes = ClockNotes(RATE, ZERO_NS)
    notes.began(ZERO_NS, offset_ticks)
    return notes


def ntp(at_ns: int) -> int:
    return -(-(at_ns << 32) // S)


def test_the_quickest_report_of_a_block_is_kept_and_how_late_the_others_were() -> None:
    notes = begun(offset_ticks=480)
    for number, late_ms in enumerate((30, 10, 40, 10)):
        notes.reported(ZERO_NS + number * S + late_ms * MS, ntp(number * S), number * RATE)
    notes.placed(frame(ZERO_NS), 480)
    (piece,) = notes.facts(480, "c", 0).pieces
    assert piece.reports == [ReportBlock(1 * S, 1 * S, 1 * S + 10 * MS, 4, 50 * MS)]


def test_each_block_has_its_own() -> None:
    notes = begun()
    for number in range(12):
        notes.reported(ZERO_NS + number * S, ntp(number * S), number * RATE)
    notes.placed(frame(ZERO_NS), 0)
    (piece,) = notes.facts(0, "", 0).pieces
    assert [report.reports for report in piece.reports] == [5, 5, 2]
    assert [report.file_ns for report in piece.reports] == [0, 5 * S, 10 * S]


def test_the_quickest_frame_of_a_block_is_kept_but_none_that_was_repaired() -> None:
    notes = begun()
    for number, late_ms in enumerate((3, 1, 2)):
        notes.placed(frame(ZERO_NS + number * S + late_ms * MS), number * RATE)
    notes.placed(frame(ZERO_NS + 3 * S, on_time=False), 3 * RATE)
    (piece,) = notes.facts(0, "", 0).pieces
    assert piece.frames == [FrameBlock(1 * S, 1 * S + MS, 3, 3 * MS)]
    assert (piece.begin_ns, piece.end_ns) == (0, 3 * S + 20 * MS)


def test_a_report_belongs_to_the_piece_in_which_it_came_also_when_that_was_found_later() -> None:
    notes = begun()
    notes.placed(frame(ZERO_NS), 0)
    notes.reported(ZERO_NS + 2 * S, ntp(2 * S), 2 * RATE)
    notes.reported(ZERO_NS + 11 * S, ntp(11 * S), 4 * RATE)
    notes.began(ZERO_NS + 10 * S, 7 * RATE)
    notes.placed(frame(ZERO_NS + 10 * S), 10 * RATE)
    first, second = notes.facts(0, "", 0).pieces
    assert [report.file_ns for report in first.reports] == [2 * S]
    assert [report.file_ns for report in second.reports] == [11 * S]
    assert (second.begin_ns, len(second.frames)) == (10 * S, 1)


def test_of_reports_of_one_block_each_piece_has_its_own() -> None:
    """A block's quickest report came after a stop, before the timeline had found it."""
    notes = begun()
    notes.placed(frame(ZERO_NS), 0)
    notes.reported(ZERO_NS + 1 * S + 2 * MS, ntp(1 * S), 1 * RATE)
    notes.reported(ZERO_NS + 4 * S + 1 * MS, ntp(4 * S), 2 * RATE)
    notes.began(ZERO_NS + 3 * S, 2 * RATE)
    notes.placed(frame(ZERO_NS + 3 * S), 3 * RATE)
    first, second = notes.facts(0, "", 0).pieces
    assert [report.file_ns for report in first.reports] == [1 * S]
    assert [report.file_ns for report in second.reports] == [4 * S]


def test_reports_that_wait_for_their_piece_are_bounded() -> None:
    notes = begun()
    notes.placed(frame(ZERO_NS), 0)
    for number in range(3 * recorder.clock_facts.MAX_HELD):
        notes.reported(ZERO_NS + number, ntp(number), 0)
    assert len(notes._held) == recorder.clock_facts.MAX_HELD
    (piece,) = notes.facts(0, "", 0).pieces
    assert [report.reports for report in piece.reports] == [3 * recorder.clock_facts.MAX_HELD]


def test_a_report_whose_rtp_time_is_far_from_its_arrival_says_nothing() -> None:
    notes = begun()
    notes.placed(frame(ZERO_NS), 0)
    notes.reported(ZERO_NS, ntp(0), 3_600 * RATE)
    assert notes.facts(0, "", 0).pieces[0].reports == []


def test_round_trips_are_on_the_session_clock_and_none_is_no_note() -> None:
    notes = begun()
    notes.round_trip(ZERO_NS + 10 * S, 12 * MS)
    notes.round_trip(ZERO_NS + 20 * S, 0)
    assert notes.facts(0, "", 0).round_trips == [RoundTripNote(10 * S, 12 * MS)]


def test_a_piece_in_which_nothing_was_placed_has_no_length() -> None:
    notes = begun()
    notes.began(ZERO_NS + S, 5)
    notes.placed(frame(ZERO_NS + S), RATE)
    assert [(piece.begin_ns, piece.end_ns) for piece in notes.facts(RATE, "", 0).pieces] == [(0, 0), (0, 20 * MS)]


def test_ntp_times_of_all_centuries_add_up_to_what_json_holds() -> None:
    notes = begun()
    for number in range(100):
        notes.reported(ZERO_NS, (1 << 64) - 1 if number % 2 else 0, 0)
    notes.placed(frame(ZERO_NS), 0)
    facts = notes.facts(0, "", 0)
    assert msgspec.json.decode(msgspec.json.encode(facts), type=ClockFacts) == facts


def test_what_is_noted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder.clock_facts, "MAX_BLOCKS", 3)
    notes = begun()
    for number in range(10):
        at_ns = ZERO_NS + number * BLOCK_NS
        notes.placed(frame(at_ns), number * 5 * RATE)
        notes.reported(at_ns, ntp(number * BLOCK_NS), number * 5 * RATE)
        notes.round_trip(at_ns, MS)
    facts = notes.facts(0, "", 0)
    assert (len(facts.pieces[0].reports), len(facts.pieces[0].frames), len(facts.round_trips)) == (3, 3, 3)
    assert facts.pieces[0].end_ns == 45 * S + 20 * MS


reports = st.tuples(st.integers(0, 60), st.integers(0, (1 << 64) - 1), st.integers(-(1 << 40), 1 << 40))


@given(st.lists(reports, max_size=60))
def test_whatever_is_reported_it_can_be_remembered(reports: list[tuple[int, int, int]]) -> None:
    notes = begun()
    notes.placed(frame(ZERO_NS), 0)
    for second, ntp_timestamp, unwrapped in reports:
        notes.reported(ZERO_NS + second * S, ntp_timestamp, unwrapped)
    facts = notes.facts(0, "c", 0)
    assert msgspec.json.decode(msgspec.json.encode(facts), type=ClockFacts) == facts
