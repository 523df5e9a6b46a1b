"""From figures to grades: each rule alone, the worst one wins, and what the participant meant is no fault."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.grading import RULES, grade_recording, grade_take
from recorder.manifest import Manifest, Mute, PacketCounts, Segment, Take
from recorder.report import (
    AudioFigures,
    Interval,
    Intervals,
    SegmentFigures,
    TakeReport,
    VideoFigures,
    decode,
    encode,
)

S = 1_000_000_000
LENGTH_S = 1_000
BEGIN_S = 5
FINE = "seg_aaaaaaaaaaaaaaaa"


def segment(id: str = FINE, begin_s: float = BEGIN_S, length_s: float = LENGTH_S, **changes: Any) -> Segment:
    values = {
        "segment_id": id,
        "copy": "server",
        "state": "stored",
        "start_ns": round(begin_s * S),
        "start_bound_ns": 5_000_000,
        "duration_ns": round(length_s * S),
        "packets": PacketCounts(received=50, written=50),
    }
    return Segment(**{**values, **changes})


def take(kind: str, *segments: Segment, mutes: list[Mute] | None = None) -> Take:
    return Take(
        take_id="tak_aaaaaaaaaaaaaaaa",
        participant_id="par_aaaaaaaaaaaaaaaa",
        kind=kind,
        slot=0,
        segments=list(segments) or [segment()],
        mutes=mutes or [],
    )


def sound(gaps_ms: dict[str, int] | None = None, **changes: Any) -> SegmentFigures:
    values = {"packets": 50_000, "samples": 96_000_000, "integrated_lufs": -20.0}
    return SegmentFigures(gaps_ms=gaps_ms or {}, audio=AudioFigures(**{**values, **changes}))


def picture(gaps_ms: dict[str, int] | None = None, **changes: Any) -> SegmentFigures:
    values = {"frames": 30_000, "key_frames": 10, "examined": 10}
    return SegmentFigures(gaps_ms=gaps_ms or {}, video=VideoFigures(**{**values, **changes}))


def intervals(*listed: tuple[float, float]) -> Intervals:
    """Beginning in the file and length, in seconds."""
    out = Intervals()
    for begin_s, length_s in listed:
        out.add(round(begin_s * S), round((begin_s + length_s) * S))
    return out


def graded(kind: str, figures: SegmentFigures, **changes: Any) -> tuple[str | None, list[str]]:
    report = grade_take(take(kind, segment(**changes)), {FINE: figures})
    return report.grade, report.reasons


def test_a_take_with_nothing_to_say_about_it_is_an_a() -> None:
    assert graded("microphone", sound()) == ("A", [])
    assert graded("camera", picture()) == ("A", [])
    assert graded("screen", picture()) == ("A", [])


@pytest.mark.parametrize(
    ("lost_ms", "grade", "words"),
    [
        (60, "B", "less than 0.01 % of the sound is concealed, because it never came (60 ms)."),
        (1_000, "B", "0.1 % of the sound is concealed, because it never came (1.0 s)."),
        (1_001, "C", "0.1 % of the sound is concealed, because it never came (1.0 s)."),
        (12_000, "D", "1.2 % of the sound is concealed, because it never came (12.0 s)."),
        (75_000, "E", "7.5 % of the sound is concealed, because it never came (1 min 15 s)."),
        (250_000, "F", "25 % of the sound is concealed, because it never came (4 min 10 s)."),
    ],
)
def test_what_is_missing_is_graded_by_its_share(lost_ms: int, grade: str, words: str) -> None:
    assert graded("microphone", sound({"lost": lost_ms})) == (grade, [words])


def test_pictures_that_were_never_sent_are_missing_too() -> None:
    grade, reasons = graded("camera", picture({"lost": 4_000, "unsent": 2_000}))
    assert (grade, reasons) == ("C", ["0.6 % of the picture is missing, because it never came (6.0 s)."])


def test_a_source_that_stood_still_has_missed_something() -> None:
    assert graded("microphone", sound({"clock": 18_000})) == ("D", ["For 18.0 s its sender captured nothing (1.8 %)."])
    assert graded("screen", picture({"clock": 18_000}))[0] == "A"


def test_silence_that_was_not_sent_costs_little() -> None:
    assert graded("microphone", sound({"paused": 400_000})) == (
        "B",
        ["For 6 min 40 s no sound was sent; the file conceals it."],
    )
    assert graded("camera", picture({"paused": 400_000}))[0] == "A"  # its freezes say it


def test_a_frozen_camera_is_a_fault_and_a_still_screen_is_none() -> None:
    figures = picture(freezes=intervals((10, 2), (50, 4)))
    assert graded("camera", figures) == (
        "C",
        ["The picture stands still 2 times, 6.0 s in all (0.6 %), at most 4.0 s."],
    )
    assert graded("screen", figures) == ("A", [])


def test_what_was_muted_is_not_looked_at() -> None:
    off = [Mute((BEGIN_S + 100) * S, (BEGIN_S + 200) * S)]
    freezes = picture(freezes=intervals((90, 120)), black=3, black_ms=[100_000, 150_000, 199_999])
    report = grade_take(take("camera", mutes=off), {FINE: freezes})
    assert (report.grade, report.reasons) == (
        "D",
        ["The picture stands still 2 times, 20.0 s in all (2.0 %), at most 10.0 s."],
    )


def test_black_pictures_are_told() -> None:
    assert graded("camera", picture(black=1, black_ms=[3])) == ("C", ["1 of 10 examined pictures are black."])
    assert graded("camera", picture(black=5, black_ms=[1, 2, 3, 4, 5]))[0] == "D"
    assert graded("screen", picture(black=5, black_ms=[1, 2, 3, 4, 5]))[0] == "A"


def test_a_microphone_that_gave_nothing_is_told_and_a_silent_listener_is_not() -> None:
    dead = sound(silence=intervals((0, LENGTH_S)))
    assert graded("microphone", dead) == ("D", ["Nothing is to be heard in the 16 min 40 s that were not muted."])
    assert graded("screen_audio", dead)[0] == "A"
    assert graded("microphone", sound(silence=intervals((0, 900))))[0] == "A"


def test_a_microphone_that_was_muted_all_along_is_no_dead_one() -> None:
    muted = [Mute(BEGIN_S * S, (BEGIN_S + LENGTH_S - 8) * S)]
    report = grade_take(take("microphone", mutes=muted), {FINE: sound(silence=intervals((0, LENGTH_S)))})
    assert report.grade == "A"
    speaking = [Mute((BEGIN_S + 100) * S, (BEGIN_S + LENGTH_S) * S)]
    figures = sound(silence=intervals((100, LENGTH_S - 100)))
    assert grade_take(take("microphone", mutes=speaking), {FINE: figures}).grade == "A"


@pytest.mark.parametrize(("share", "grade"), [(1e-6, "A"), (1e-4, "B"), (0.002, "C"), (0.02, "D"), (0.2, "E")])
def test_clipping_is_graded_by_its_share(share: float, grade: str) -> None:
    figures = sound(clipped_samples=round(share * 96_000_000), clipped=intervals((3, 2)))
    found, reasons = graded("microphone", figures)
    assert found == grade
    assert all("samples are clipped, in 2.0 s" in reason for reason in reasons)


@pytest.mark.parametrize(("bound_ms", "grade"), [(20, "A"), (50, "B"), (101, "C")])
def test_a_beginning_that_is_not_known_costs_a_grade(bound_ms: int, grade: str) -> None:
    found, reasons = graded("microphone", sound(), start_bound_ns=bound_ms * 1_000_000)
    assert found == grade
    assert reasons == ([] if grade == "A" else [f"When it begins is known to ±{bound_ms} ms only."])


def test_what_the_decoder_refuses_is_told() -> None:
    assert graded("microphone", sound(undecodable=100)) == ("C", ["A decoder refuses 100 of 50000 packets."])
    assert graded("camera", picture(undecodable=1)) == ("D", ["A decoder refuses 1 of 11 examined pictures."])


def test_what_was_not_examined_is_never_an_a() -> None:
    problem = sound()
    problem.problem = "ValueError 3.0 s into the file: no"
    assert graded("microphone", problem) == (
        "C",
        ["It was not examined to its end: ValueError 3.0 s into the file: no."],
    )
    earlier = grade_take(take("microphone"), {})
    assert (earlier.grade, earlier.reasons) == ("B", ["It was not examined: an earlier version made the file."])
    assert earlier.segments[0].figures is None


def test_a_server_that_stopped_in_the_middle_is_told() -> None:
    assert graded("microphone", sound(), torn=True)[0] == "B"
    assert graded("microphone", sound(), torn=True, problem="a record is damaged in the journal") == (
        "C",
        ["The server stopped in the middle: a record is damaged in the journal."],
    )
    dropped = PacketCounts(received=50, written=50, dropped=7)
    assert graded("microphone", sound(), packets=dropped) == ("B", ["The server's disk was too slow for 7 packets."])


def test_a_packet_that_nobody_can_account_for_is_the_worst() -> None:
    assert graded("microphone", sound(), packets=PacketCounts(received=50, written=49)) == (
        "F",
        ["What became of 1 packet is not known."],
    )


def test_a_journal_that_has_not_what_its_end_names_is_the_worst() -> None:
    assert graded("microphone", sound(), packets=PacketCounts(received=50, written=50, unread=2)) == (
        "F",
        ["What became of 2 packets is not known."],
    )


def test_spatial_layers_are_told() -> None:
    assert graded("camera", picture(), spatial_layers=2) == (
        "D",
        ["Its sender used 2 spatial layers, of which many players show the smallest."],
    )


def failed(id: str, received: int) -> Segment:
    packets = PacketCounts(received=received, awaiting_key=received)
    return segment(id, 0, 0, state="failed", problem="no frame could be decoded", packets=packets)


def test_a_take_without_a_file_is_an_f() -> None:
    report = grade_take(take("camera", failed(FINE, 5)), {})
    assert (report.grade, report.reasons) == ("F", ["There is no file: no frame could be decoded."])


def test_one_file_of_several_that_could_not_be_made_is_told_if_something_came_for_it() -> None:
    for received, grade in ((5, "D"), (0, "A")):
        report = grade_take(take("camera", segment(), failed("seg_bbbbbbbbbbbbbbbb", received)), {FINE: picture()})
        assert report.grade == grade
    assert grade_take(take("camera", segment(), failed("seg_bbbbbbbbbbbbbbbb", 5)), {FINE: picture()}).reasons == [
        "1 of 2 files could not be made: no frame could be decoded."
    ]


def test_time_between_two_files_of_a_take_is_missing() -> None:
    ids = ("seg_aaaaaaaaaaaaaaaa", "seg_bbbbbbbbbbbbbbbb")
    parts = [segment(ids[0], 5, 500), segment(ids[1], 512, 493)]
    report = grade_take(take("microphone", *parts), dict.fromkeys(ids, sound()))
    assert (report.grade, report.reasons) == ("C", ["It is in 2 files, and between them 7.0 s are missing (0.7 %)."])
    assert (report.duration_ms, report.between_files_ms) == (993_000, 7_000)
    assert grade_take(take("screen", *parts), dict.fromkeys(ids, picture())).grade == "A"


def test_the_worst_reason_comes_first_and_gives_the_grade() -> None:
    figures = sound({"lost": 60, "clock": 30_000, "paused": 1_000})
    grade, reasons = graded("microphone", figures, start_bound_ns=150_000_000)
    assert grade == "D"
    assert [reason.split()[0] for reason in reasons] == ["For", "When", "less", "For"]


def test_a_local_copy_is_not_graded() -> None:
    local = segment(copy="local", start_bound_ns=10**9)
    report = grade_take(take("camera", local), {})
    assert (report.grade, report.reasons, report.segments) == (None, [], [])


def recording(*takes: Take) -> Manifest:
    return Manifest(session_id="s", recording_id="r", title="", started_ns=0, stopped_ns=S, takes=list(takes))


def test_a_recording_is_as_good_as_its_worst_take() -> None:
    bad = take("camera", failed("seg_bbbbbbbbbbbbbbbb", 5))
    report = grade_recording(recording(take("microphone"), take("microphone"), bad), {FINE: sound()})
    assert (report.grade, report.reasons) == ("F", ["1 of 3 takes has grade F."])
    two = grade_recording(recording(bad, bad), {})
    assert two.reasons == ["2 of 2 takes have grade F."]
    assert grade_recording(recording(take("microphone")), {FINE: sound()}).reasons == []
    assert grade_recording(recording(), {}).grade is None


def test_the_report_reads_back_as_it_was_written() -> None:
    figures = {FINE: sound({"lost": 60}, silence=intervals((1, 12)))}
    report = grade_recording(recording(take("microphone")), figures)
    assert decode(encode(report)) == report
    assert encode(report) == encode(grade_recording(recording(take("microphone")), figures))


def test_beyond_the_cap_intervals_are_counted_and_not_listed() -> None:
    many = intervals(*((number, 0.6) for number in range(1_500)))
    assert (many.count, many.total_ms, many.longest_ms, len(many.listed)) == (1_500, 900_000, 600, 1_000)
    assert many.listed[-1] == Interval(999_000, 600)


shares = st.integers(0, LENGTH_S * 1_000)


@given(shares, shares, st.sampled_from(["microphone", "camera", "screen", "screen_audio"]))
def test_more_missing_is_never_a_better_grade(one_ms: int, other_ms: int, kind: str) -> None:
    figures: Callable[..., SegmentFigures] = sound if "sound" in kind or kind == "microphone" else picture
    less, more = sorted((one_ms, other_ms))
    better, worse = (graded(kind, figures({"lost": lost_ms}))[0] for lost_ms in (less, more))
    assert better is not None
    assert worse is not None
    assert better <= worse


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 100)), max_size=5))
def test_every_reason_is_a_sentence(mutes: list[tuple[int, int]]) -> None:
    bad = sound({"lost": 10**5, "clock": 10**5, "paused": 5}, clipped_samples=10**7, undecodable=500)
    muted = [Mute(begin_s * S, (begin_s + length_s) * S) for begin_s, length_s in mutes]
    report: TakeReport = grade_take(take("microphone", segment(torn=True), mutes=muted), {FINE: bad})
    assert 5 < len(report.reasons) <= 2 * len(RULES)
    assert all(reason.endswith(".") and len(reason) < 200 for reason in report.reasons)
