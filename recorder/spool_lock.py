"""At most one process works on a spool."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.journal_file import make_folder
from storage.folder_lock import hold

LOCK_NAME = "recorder.lock"


@contextmanager
def claim_spool(spool: Path) -> Iterator[None]:
    """Make the folder if needed and hold it. Raises FolderInUse, OSError."""
    make_folder(spool)
    with hold(spool / LOCK_NAME, f"{spool} is worked on by a running recorder"):
        yield
