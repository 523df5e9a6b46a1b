"""Which files a range off the record concerns: rather one too many than one too few."""

from hypothesis import given
from hypothesis import strategies as st

from recorder.events import OffRecordMarked
from recorder.off_record import DRIFT_NS, PACKET_NS, concerns
from tests.support.journals import S

MS = S // 1000
REACH_NS = DRIFT_NS + PACKET_NS


def marked(start_ns: int, stop_ns: int) -> OffRecordMarked:
    return OffRecordMarked(off_record_id="off", start_ns=start_ns, stop_ns=stop_ns, marked_by="", marked_ns=stop_ns)


def test_a_file_beside_the_range_is_not_concerned() -> None:
    assert not concerns(marked(20 * S, 30 * S), 10 * S, 50 * MS, 9 * S)
    assert not concerns(marked(20 * S, 30 * S), 31 * S, 50 * MS, 9 * S)


def test_a_file_that_grows_is_concerned_by_all_that_comes_after_its_beginning() -> None:
    assert concerns(marked(20 * S, 30 * S), 10 * S, 0, None)
    assert not concerns(marked(20 * S, 30 * S), 31 * S, 0, None)


@given(
    start=st.integers(0, 100 * S),
    duration=st.integers(0, 100 * S),
    bound=st.integers(0, S),
    begin=st.integers(0, 100 * S),
    length=st.integers(1, 100 * S),
    off=st.integers(-REACH_NS, REACH_NS),
)
def test_whatever_the_error_no_file_that_holds_a_part_of_the_range_is_given_out(
    start: int, duration: int, bound: int, begin: int, length: int, off: int
) -> None:
    """`off`: how far the file's samples lie from where it says."""
    range_ = marked(begin, begin + length)
    holds = start + off <= range_.stop_ns and range_.start_ns <= start + off + duration
    if holds:
        assert concerns(range_, start, bound, duration)
        assert concerns(range_, start, bound, None)
