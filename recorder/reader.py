"""Following a journal while it is written, and knowing when it is over.

`flock` decides: a journal that its writer holds may still grow, however long nothing comes; one that nobody holds and
that has no end record is torn and will never grow. The lock is looked at before the bytes are read, so the writer's
last bytes are never missed. Readers poll; the file's size is all the signal there is.
"""

import enum
import fcntl
import os
from pathlib import Path

from recorder.journal import JournalDecoder, Record

READ_BYTES = 1 << 20
"""Read at once; bounds the work between two looks at anything else."""


class JournalState(enum.Enum):
    GROWING = "growing"
    ENDED = "ended"
    """Closed by its writer, with an end record."""
    TORN = "torn"
    """Its writer is gone; all good records were read."""


class JournalReader:
    """One journal, from its beginning. Raises OSError from any method when the disk fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = JournalState.GROWING
        self.problem = ""
        """Why a torn journal ends where it does, when it is more than a missing end."""
        self.torn_bytes = 0
        """At the end of a torn journal, belonging to no good record."""
        self._decoder = JournalDecoder()
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._locked = True

    def read(self) -> list[Record]:
        """Records that came since; empty when there are none now. After ENDED or TORN there never are."""
        if self.state is not JournalState.GROWING:
            return []
        locked = self._is_locked()
        data = os.read(self._fd, READ_BYTES)
        records = self._decoder.feed(data)
        if self._decoder.ended:
            self._finish(JournalState.ENDED)
        elif not locked and (self._decoder.problem or not data):
            self.problem = self._decoder.problem
            self.torn_bytes = os.fstat(self._fd).st_size - self._decoder.good_bytes
            self._finish(JournalState.TORN)
        elif self._decoder.problem:
            os.lseek(self._fd, self._decoder.restart(), os.SEEK_SET)
        return records

    @property
    def held(self) -> bool:
        """When it was last looked at, its writer had it open."""
        return self._locked

    @property
    def good_bytes(self) -> int:
        """Read and decoded so far."""
        return self._decoder.good_bytes

    @property
    def skipped(self) -> int:
        """Records of a later version."""
        return self._decoder.skipped

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _finish(self, state: JournalState) -> None:
        self.state = state
        self.close()

    def _is_locked(self) -> bool:
        if self._locked:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._locked = False
        return self._locked
