"""A folder in which one process at a time works. The lock is the kernel's (flock): it ends with the process, however
that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FolderInUse(Exception):
    """Another process holds it."""


@contextmanager
def hold(lock: Path, refusal: str) -> Iterator[None]:
    """Hold the lock with this name, which is made if needed; its folder must be there.

    Raises FolderInUse with `refusal`, OSError.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(refusal) from None
        yield
    finally:
        os.close(descriptor)
