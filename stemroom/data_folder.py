"""The data folder: made private, and used by one node at a time.

Guarantees: while `claim` is held, no other process that claims the same folder runs. The lock is the kernel's (flock):
it ends with the process, however that ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "node.lock"


class FolderInUse(Exception):
    """Another process holds the folder."""


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Make the folder (readable by this user alone) if needed and hold it. Raises FolderInUse, OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder} is used by another running stemroom") from None
        yield
    finally:
        os.close(lock)
