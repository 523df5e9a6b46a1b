"""The data folder: made private, and used by one node at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.folder_lock import hold

LOCK_NAME = "node.lock"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Make the folder (readable by this user alone) if needed and hold it. Raises FolderInUse, OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with hold(folder / LOCK_NAME, f"{folder} is used by another running stemroom"):
        yield
