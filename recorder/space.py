"""What may still be recorded with the space that is left on the spool's disk. No I/O; `now_s` is given.

Guarantees: the state gets worse with the look that shows it, and better only when there has been room to spare for
HOLD_S, so that what is freed by ending recordings does not begin them anew. A disk that took a write for full, or that
cannot be written, is full whatever it says of itself.
"""

from enum import StrEnum
from typing import NamedTuple

from recorder.settings import RecorderSettings

HOLD_S = 3.0
"""For how long there must be room before the state gets better."""
SPARE = 1.1
"""By which factor limits must be kept for the state to get better."""
FULL_SHARE = 0.25
"""Of the reserve: with no more than this left running recordings end. It is for files that are being finished."""
QUOTA_LOW_SHARE = 0.9
"""Of the quota: beyond it no new recording begins."""


class SpaceState(StrEnum):
    OK = "ok"
    LOW = "low"
    """No new recording; running ones go on."""
    FULL = "full"
    """Running recordings end."""


_WORSE = (SpaceState.OK, SpaceState.LOW, SpaceState.FULL)
"""In this order."""


class Space(NamedTuple):
    """One look at the spool's disk, bytes."""

    free: int
    """For this program, beyond what is kept in reserve for the ends of journals."""
    total: int
    used: int
    """By journals and by files that are being made."""
    refused: bool
    """Since the last look a write failed because the disk was full or read-only, or it cannot be written now."""


class SpaceGuard:
    def __init__(self, settings: RecorderSettings) -> None:
        self._settings = settings
        self._better_since_s: float | None = None
        self._better = SpaceState.OK
        """The worst of the better states that were seen since then."""
        self.state = SpaceState.OK

    def look(self, space: Space, now_s: float) -> SpaceState:
        """The state from this moment on (monotonic seconds)."""
        seen = self._level(space, 1.0)
        if _WORSE.index(seen) >= _WORSE.index(self.state):
            self._better_since_s = None
            self.state = seen
            return seen
        better = self._level(space, SPARE)
        if _WORSE.index(better) >= _WORSE.index(self.state):
            self._better_since_s = None
        elif self._better_since_s is None:
            self._better_since_s, self._better = now_s, better
        else:
            self._better = max(self._better, better, key=_WORSE.index)
            if now_s - self._better_since_s >= HOLD_S:
                self._better_since_s, self.state = None, self._better
        return self.state

    def _level(self, space: Space, spare: float) -> SpaceState:
        reserve = max(self._settings.reserve_bytes, self._settings.reserve_share * space.total) * spare
        quota = (self._settings.spool_bytes or float("inf")) / spare
        if space.refused or space.free <= reserve * FULL_SHARE or space.used >= quota:
            return SpaceState.FULL
        if space.free < reserve or space.used >= quota * QUOTA_LOW_SHARE:
            return SpaceState.LOW
        return SpaceState.OK
