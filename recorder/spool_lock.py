"""At most one process works on a spool. The lock is the kernel's (flock): it ends with the process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.journal_file import make_folder

LOCK_NAME = "recorder.lock"


class SpoolInUse(Exception):
    """Another process works on it."""


@contextmanager
def claim_spool(spool: Path) -> Iterator[None]:
    """Make the folder if needed and hold it. Raises SpoolInUse, OSError."""
    make_folder(spool)
    lock = os.open(spool / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolInUse(f"{spool} is worked on by a running recorder") from None
        yield
    finally:
        os.close(lock)
