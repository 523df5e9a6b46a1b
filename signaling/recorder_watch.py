"""What the recorder process says of itself and of recordings (`recorder.health`), as far as it still holds. No I/O.

Times are monotonic seconds. What was not said again for HOLD_S is over: the recorder says it twice a second.
"""

from recorder.health import MAX_FINDINGS, Finding, Health, decode

HOLD_S = 2.0
LAG_ALARM_S = 10.0
"""Files that are later than their packets by more are an alarm."""
MAX_KEPT = 2 * MAX_FINDINGS
"""Findings; further ones are counted as refused. What is over makes room."""


class RecorderWatch:
    def __init__(self) -> None:
        self.health = Health()
        """As it was said last."""
        self.refused = 0
        """Lines that were none, or for which there was no room."""
        self._findings: dict[tuple[str, str, str], tuple[Finding, float]] = {}
        """By what and where, with when it was said last."""

    def hear(self, line: bytes, now_s: float) -> None:
        """A line of the recorder's standard output, without its end."""
        try:
            said = decode(line)
        except ValueError:
            self.refused += 1
            return
        if isinstance(said, Health):
            self.health = said
            self._forget(now_s)
            return
        key = (said.code, said.recording_id, said.take_id)
        if key in self._findings or len(self._findings) < MAX_KEPT:
            self._findings[key] = (said, now_s)
        else:
            self.refused += 1

    def findings(self, recording_id: str, now_s: float) -> list[Finding]:
        """What is wrong with this recording at present."""
        self._forget(now_s)
        return [finding for finding, _ in self._findings.values() if finding.recording_id == recording_id]

    @property
    def alarm(self) -> str:
        """For operators; empty: nothing."""
        said = self.health
        if said.tracks_stuck:
            return f"the recorder hung on {said.tracks_stuck} tracks: their files are late"
        return f"the recorder is {said.lag_s:.0f} s behind: files are late" if said.lag_s > LAG_ALARM_S else ""

    def _forget(self, now_s: float) -> None:
        over = [key for key, (_, said_s) in self._findings.items() if now_s - said_s > HOLD_S]
        for key in over:
            del self._findings[key]
