"""The node's clocks and the session clock derived from them.

A session clock starts at zero when the session is created and counts int64 nanoseconds. On the boot that created the
session it is the monotonic clock minus an offset, so steps of the wall clock never show in it; after a reboot the
offset is found once through the wall clock, and that is the only place where the wall clock's error enters.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from storage.models import Session

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What the control plane reads time from."""

    boot_id: str

    def monotonic_ns(self) -> int: ...

    def wall_ns(self) -> int:
        """Unix time."""


class NodeClock:
    """The clocks of this machine. Without a boot id (not Linux) no monotonic reading outlives the process."""

    def __init__(self) -> None:
        try:
            self.boot_id = _BOOT_ID.read_text().strip()
        except OSError:
            self.boot_id = f"process-{time.time_ns()}"

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()


class SessionClock:
    """Session time of one session on this boot."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._clock = clock
        self.zero_wall_ns = session.clock_zero_wall_ns
        self.zero_monotonic_ns = session.clock_zero_monotonic_ns
        """The session clock's zero on this boot's monotonic clock; may be negative after a reboot."""
        if session.clock_boot_id != clock.boot_id:
            self.zero_monotonic_ns = clock.monotonic_ns() - (clock.wall_ns() - session.clock_zero_wall_ns)

    def now_ns(self) -> int:
        return self._clock.monotonic_ns() - self.zero_monotonic_ns

    @property
    def boot_id(self) -> str:
        return self._clock.boot_id

    def wall_ns(self) -> int:
        """Unix time now, which may be moved at any time."""
        return self._clock.wall_ns()

    def now_ms(self) -> float:
        return self.now_ns() / NS_PER_MS


def wall_time(clock: Clock) -> datetime:
    """Now, with its zone, for the catalog's `*_at` columns."""
    return datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, UTC)
