"""What is wrong at present with a recording that runs: late files, tracks that hung, what files show.

A core: no I/O.
"""

from collections.abc import Iterable
from typing import Protocol

from recorder.events import TakeOpened
from recorder.health import Finding, FindingCode
from recorder.journal import TrackHeader

BEHIND_S = 2.0
"""A file that is later than its packets by more is a finding: usually it is half a second."""


class Made(Protocol):
    """A file that is being made (`recorder.track_task.TrackTask`)."""

    @property
    def header(self) -> TrackHeader | None: ...

    def lag_s(self, now_ns: int) -> float: ...

    def warnings(self) -> dict[FindingCode, int]: ...


def findings(
    recording_id: str, making: Iterable[Made], hung: Iterable[TakeOpened], lag_s: float, now_ns: int, zero_ns: int
) -> list[Finding]:
    """`lag_s`: age of the oldest packet that is in no file yet; `now_ns` and `zero_ns`, the zero of the session clock,
    on the monotonic clock."""
    session_ns = now_ns - zero_ns
    found = []
    if lag_s > BEHIND_S:
        since_ns = session_ns - round(lag_s * 1e9)
        found.append(Finding(code=FindingCode.BEHIND, recording_id=recording_id, since_ns=since_ns))
    found += [_of_take(FindingCode.STUCK, recording_id, take, session_ns) for take in hung]
    for task in making:
        # What a file shows that is made late may be over.
        if (track := task.header) is not None and task.lag_s(now_ns) <= BEHIND_S:
            found += [
                _of_take(code, recording_id, track, session_ns - age_ns) for code, age_ns in task.warnings().items()
            ]
    return found


def _of_take(code: FindingCode, recording_id: str, take: TakeOpened | TrackHeader, since_ns: int) -> Finding:
    return Finding(
        code=code,
        recording_id=recording_id,
        take_id=take.take_id,
        participant_id=take.participant_id,
        kind=take.kind,
        since_ns=since_ns,
    )
