"""What the recorder says holds until it is not said any more, and what it cannot have said is refused."""

from recorder.health import Finding, FindingCode, Health, encode
from signaling.recorder_watch import HOLD_S, LAG_ALARM_S, MAX_KEPT, RecorderWatch
from tests.support.journals import RECORDING

OTHER = "rec_bbbbbbbbbbbbbbbb"


def behind(recording_id: str = RECORDING, since_ns: int = 5) -> Finding:
    return Finding(code=FindingCode.BEHIND, recording_id=recording_id, since_ns=since_ns)


def test_the_newest_health_is_kept() -> None:
    watch = RecorderWatch()
    for lag_s in (1.0, 3.0):
        watch.hear(encode(Health(lag_s=lag_s, tracks=2)), 0.0)
    assert watch.health == Health(lag_s=3.0, tracks=2)


def test_a_finding_holds_while_it_is_repeated_and_is_of_its_recording_alone() -> None:
    watch = RecorderWatch()
    for step in range(10):
        watch.hear(encode(behind(since_ns=step)), step * HOLD_S / 4)
    last_s = 9 * HOLD_S / 4
    assert watch.findings(RECORDING, last_s + HOLD_S) == [behind(since_ns=9)]
    assert watch.findings(OTHER, last_s) == []
    assert watch.findings(RECORDING, last_s + HOLD_S + 0.1) == []


def test_what_is_no_line_changes_nothing_and_is_counted() -> None:
    watch = RecorderWatch()
    watch.hear(encode(Health(lag_s=3.0)), 0.0)
    for line in (b"", b"x", b'{"type": "health", "lag_s": "much"}'):
        watch.hear(line, 0.0)
    assert (watch.health.lag_s, watch.refused) == (3.0, 3)


def test_findings_are_bounded_and_what_is_over_makes_room() -> None:
    watch = RecorderWatch()
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    ids = [f"rec_{a}{b}{'a' * 14}" for a in letters for b in letters]
    assert len(ids) > MAX_KEPT
    for id in ids:
        watch.hear(encode(behind(id)), 0.0)
    assert watch.refused == len(ids) - MAX_KEPT
    assert watch.findings(ids[-1], 0.0) == []
    watch.hear(encode(Health()), HOLD_S + 1)
    watch.hear(encode(behind(ids[-1])), HOLD_S + 1)
    assert watch.findings(ids[-1], HOLD_S + 1) == [behind(ids[-1])]


def test_files_that_are_late_are_an_alarm() -> None:
    watch = RecorderWatch()
    assert watch.alarm == ""
    watch.hear(encode(Health(lag_s=LAG_ALARM_S)), 0.0)
    assert watch.alarm == ""
    watch.hear(encode(Health(lag_s=12.4)), 0.0)
    assert watch.alarm == "the recorder is 12 s behind: files are late"
