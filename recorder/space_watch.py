"""The spool's disk, looked at once a second by a thread of its own: the event loop never waits for it.

A file in the spool (RESERVE_NAME) holds room back for what ends recordings: the last packets, end records and events.
It is given up while the disk is full and made again before anything new may be recorded. It is not counted as used, and
while it is missing its size counts as taken, so that giving it up does not look like space that was freed.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from recorder.settings import RecorderSettings
from recorder.space import Space, SpaceGuard, SpaceState

log = structlog.get_logger()

LOOK_S = 1.0
"""Between two looks."""
BUSY_SHARE = 0.02
"""Of its time the thread sums sizes at most (13 us a file here): of very many files less often than it looks."""
CLOSE_WAIT_S = 2.0
RESERVE_NAME = "reserve"
RESERVE_BYTES = 16 * 1024 * 1024
"""Eight seconds of ten participants, and the ends of some thousand journals."""


class SpaceReport(NamedTuple):
    state: SpaceState
    free_bytes: int
    """Beyond the reserve file."""
    used_bytes: int


class SpaceWatch:
    def __init__(self, data: Path, settings: RecorderSettings, refusals: Callable[[], int]) -> None:
        """`data`: the data folder. `refusals`: how many writes the disk has refused, see `SpoolWriter.refusals`."""
        self._folders = (data / "spool", data / "work")
        self._reserve = data / "spool" / RESERVE_NAME
        self._guard = SpaceGuard(settings)
        self._refusals = refusals
        self._refused = 0
        self._used = 0
        self._sum_at_s = 0.0
        """Monotonic time before which sizes are not summed again."""
        self._state = SpaceState.OK
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> SpaceReport:
        """Touches the disk. Where it cannot be asked it is full."""
        refusals = self._refusals()
        refused, self._refused = refusals > self._refused, refusals
        space = self._space(refused)
        state = self._guard.look(space, time.monotonic())
        if state is SpaceState.FULL:
            self._give_up_reserve()
        elif not self._keep_reserve():
            state = self._guard.look(space._replace(refused=True), time.monotonic())
        if state is not self._state:
            self._state = state
            told = log.info if state is SpaceState.OK else log.warning
            told("spool_space", state=state, free_bytes=space.free, used_bytes=space.used, refused=space.refused)
        return SpaceReport(state, space.free, space.used)

    def start(self, seen: Callable[[SpaceReport], None]) -> None:
        """Call `seen` with every look from now on, in the thread."""
        self._thread = threading.Thread(target=self._run, args=(seen,), name="spool-space", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """`seen` is called no more, unless a disk that hangs holds the thread for longer than CLOSE_WAIT_S."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)

    def _run(self, seen: Callable[[SpaceReport], None]) -> None:
        while not self._stop.wait(LOOK_S):
            report = self.look()
            if not self._stop.is_set():
                seen(report)

    def _space(self, refused: bool) -> Space:
        try:
            disk = os.statvfs(self._folders[0])
        except OSError:
            return Space(0, 0, 0, True)
        free = disk.f_bavail * disk.f_frsize
        if not self._has_reserve():
            free = max(0, free - RESERVE_BYTES)
        read_only = bool(disk.f_flag & os.ST_RDONLY)
        return Space(free, disk.f_blocks * disk.f_frsize, self._sum(), refused or read_only)

    def _sum(self) -> int:
        began_s = time.monotonic()
        if began_s >= self._sum_at_s:
            self._used = sum(sum(_sizes(folder)) for folder in self._folders)
            ended_s = time.monotonic()
            self._sum_at_s = ended_s + (ended_s - began_s) / BUSY_SHARE
        return self._used

    def _has_reserve(self) -> bool:
        try:
            return self._reserve.stat().st_size == RESERVE_BYTES
        except OSError:
            return False

    def _keep_reserve(self) -> bool:
        """Make the reserve file unless it is there; False: it cannot be made."""
        if self._has_reserve():
            return True
        try:
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            finally:
                os.close(fd)
        except OSError:
            self._give_up_reserve()
            return False
        return True

    def _give_up_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink()


def _sizes(folder: str | Path) -> Iterator[int]:
    """Of all files below, but the reserve. What vanishes meanwhile is passed over."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                elif entry.name != RESERVE_NAME:
                    with contextlib.suppress(OSError):
                        yield entry.stat(follow_symlinks=False).st_size
    except OSError:
        return
