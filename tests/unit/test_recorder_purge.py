"""What a purge leaves of a report: nothing that happened in the ranges is listed, everything else is."""

from recorder.events import OffRecordMarked
from recorder.manifest import Segment
from recorder.purge import without_ranges
from recorder.report import AudioFigures, Interval, Intervals, PictureSize, SegmentFigures, VideoFigures
from tests.support.journals import S

SEGMENT = Segment(segment_id="seg", copy="server", state="stored", start_ns=7 * S, start_bound_ns=S // 20)
MARKED = [
    OffRecordMarked(off_record_id=id, start_ns=start_ns, stop_ns=start_ns + S, marked_by="", marked_ns=99 * S)
    for id, start_ns in (("off_a", 17 * S), ("off_b", 37 * S))
]
"""From 10 s to 11 s, and from 30 s to 31 s, of the file."""


def intervals(*begins_ms: int) -> Intervals:
    made = Intervals()
    for begin_ms in begins_ms:
        made.add(begin_ms * 1_000_000, (begin_ms + 100) * 1_000_000)
    return made


def test_what_is_listed_of_a_sound_lies_outside_of_the_ranges() -> None:
    clipped, silence = intervals(9_000, 10_500, 20_000, 30_000), intervals(0)
    silence.add(8 * S, 12 * S)
    figures = SegmentFigures(
        audio=AudioFigures(clipped=clipped, silence=silence, clipped_samples=9), gaps_ms={"lost": 5}
    )
    left = without_ranges(figures, SEGMENT, MARKED)
    assert left.audio is not None
    assert left.audio.clipped.listed == [Interval(9_000, 100), Interval(20_000, 100)]
    assert left.audio.silence.listed == [Interval(0, 100)], "one that lasts from before to behind is gone whole"
    assert (left.audio.clipped_samples, left.audio.clipped.count, left.gaps_ms) == (9, 4, {"lost": 5})
    assert len(clipped.listed) == 4, "the figures that were given are as they were"


def test_what_is_listed_of_a_picture_lies_outside_of_the_ranges() -> None:
    sizes = [PictureSize(at_ms, 320, 240) for at_ms in (0, 10_200, 29_000)]
    video = VideoFigures(freezes=intervals(9_000, 10_900), sizes=sizes, black_ms=[8_000, 30_500], black=2)
    left = without_ranges(SegmentFigures(video=video), SEGMENT, MARKED).video
    assert left is not None
    assert [one.file_ms for one in left.freezes.listed] == [9_000]
    assert [one.file_ms for one in left.sizes] == [0, 29_000]
    assert (left.black_ms, left.black) == ([8_000], 2)


def test_figures_of_nothing_stay_nothing() -> None:
    assert without_ranges(SegmentFigures(), SEGMENT, MARKED) == SegmentFigures()
