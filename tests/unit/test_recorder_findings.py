from dataclasses import dataclass, field

import pytest

from recorder.events import TakeOpened
from recorder.findings import BEHIND_S, findings
from recorder.health import Finding, FindingCode
from recorder.journal import TrackHeader
from tests.support.journals import track_header

RECORDING = "rec_aaaaaaaaaaaaaaaa"
S = 1_000_000_000
ZERO_NS = 1_000 * S
NOW_NS = ZERO_NS + 60 * S
HUNG = TakeOpened(take_id="tak_bbbbbbbbbbbbbbbb", participant_id="par_bbbbbbbbbbbbbbbb", kind="camera", slot=0)


@dataclass
class File:
    late_s: float = 0.0
    shows: dict[FindingCode, int] = field(default_factory=dict)
    header: TrackHeader | None = field(default_factory=lambda: track_header("opus"))

    def lag_s(self, now_ns: int) -> float:
        assert now_ns == NOW_NS
        return self.late_s

    def warnings(self) -> dict[FindingCode, int]:
        return self.shows


def found(*making: File, hung: tuple[TakeOpened, ...] = ()) -> list[Finding]:
    lag_s = max((file.late_s for file in making), default=0.0)
    return findings(RECORDING, making, hung, lag_s, NOW_NS, ZERO_NS)


def test_nothing_is_wrong_with_nothing() -> None:
    assert found() == found(File(), File()) == []


def test_what_a_file_shows_is_of_its_take_and_since_when_in_session_time() -> None:
    header = track_header("opus")
    assert found(File(shows={FindingCode.SILENCE: 20 * S})) == [
        Finding(
            code=FindingCode.SILENCE,
            recording_id=RECORDING,
            take_id=header.take_id,
            participant_id=header.participant_id,
            kind=header.kind,
            since_ns=40 * S,
        )
    ]


@pytest.mark.parametrize(("late_s", "codes"), [(BEHIND_S, []), (BEHIND_S + 0.1, [FindingCode.BEHIND])])
def test_a_file_that_is_late_is_one_finding_of_the_recording(late_s: float, codes: list[FindingCode]) -> None:
    result = found(File(late_s), File(late_s / 2))
    assert [finding.code for finding in result] == codes
    assert all((finding.take_id, finding.since_ns) == ("", 60 * S - round(late_s * 1e9)) for finding in result)


def test_what_a_late_file_shows_may_be_over_and_is_not_told() -> None:
    shows = {FindingCode.CLIPPING: S}
    assert [one.code for one in found(File(BEHIND_S + 1, shows), File(0.5, shows))] == [
        FindingCode.BEHIND,
        FindingCode.CLIPPING,
    ]


def test_a_file_whose_journal_has_no_header_yet_shows_nothing() -> None:
    assert found(File(shows={FindingCode.CLIPPING: S}, header=None)) == []


def test_a_track_that_hung_is_told_of_with_its_take() -> None:
    (finding,) = found(hung=(HUNG,))
    assert (finding.code, finding.take_id, finding.participant_id, finding.kind, finding.since_ns) == (
        FindingCode.STUCK,
        HUNG.take_id,
        HUNG.participant_id,
        "camera",
        60 * S,
    )
