"""The recorder's lines to the node: bounded, and read as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.health import LINE_BYTES, MAX_FINDINGS, Finding, FindingCode, Health, beat, decode
from tests.support.journals import RECORDING

HEALTH = Health(lag_s=1.5, tracks=3, upload_backlog_bytes=1 << 40, upload_errors=7)


def finding(number: int = 0) -> Finding:
    return Finding(code=FindingCode.BEHIND, recording_id=RECORDING, since_ns=number)


def test_a_beat_is_the_health_and_what_is_wrong_one_line_each() -> None:
    lines = beat(HEALTH, [finding(1), finding(2)])
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert [decode(line) for line in lines] == [HEALTH, finding(1), finding(2)]


def test_no_line_is_longer_than_a_pipe_takes_whole() -> None:
    widest = Health(lag_s=1e9 / 3, tracks=1 << 60, upload_backlog_bytes=1 << 60, upload_errors=1 << 60)
    assert max(map(len, beat(widest, [finding(-(1 << 62))]))) <= LINE_BYTES


def test_a_beat_has_a_bounded_number_of_findings() -> None:
    assert len(beat(HEALTH, [finding(number) for number in range(10 * MAX_FINDINGS)])) == 1 + MAX_FINDINGS


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}",
        b"[" * 100_000,
        b'{"type": "health", "lag_s": -1}',
        b'{"type": "health", "lag_s": 1e300}',
        b'{"type": "finding", "code": "else", "recording_id": "rec_aaaaaaaaaaaaaaaa", "since_ns": 0}',
        b'{"type": "finding", "code": "recorder_behind", "recording_id": "../x", "since_ns": 0}',
        b'{"type": "health", "lag_s": 1, "more": "' + b"x" * LINE_BYTES + b'"}',
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


def test_what_a_later_version_says_besides_is_passed_over() -> None:
    assert decode(b'{"type": "health", "lag_s": 1, "mood": "good"}') == Health(lag_s=1)


@pytest.mark.any_input
@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_a_value_error(line: bytes) -> None:
    try:
        decode(line)
    except ValueError:
        pass
