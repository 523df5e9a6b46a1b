"""Files that appear whole or not at all, and stay after a power loss.

Blocking; call from a thread. Order: data, fsync, rename, fsync of the folder that names it.
"""

import os
import secrets
from pathlib import Path
from typing import BinaryIO

ATTEMPTS = 20
"""A folder may be pruned by a delete, also of another process, between being made and being used; then it is made
again. Three were too few once, on a busy machine with three deletes beside it."""


def fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """With its parents; those that are new are durable too."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        fsync_folder(new.parent)


def create_draft(folder: Path) -> BinaryIO:
    """A new file with a random name, for its owner alone to read."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(folder / secrets.token_hex(16), "xb+", opener=lambda name, _: os.open(name, flags, 0o600))


def publish(draft: Path, target: Path) -> None:
    """Make a draft durable and give it its name, replacing what had that name."""
    descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            make_folder(target.parent)
            os.replace(draft, target)
            fsync_folder(target.parent)
            return
        except (FileNotFoundError, FileExistsError):  # mkdir says the latter of a folder that was pruned meanwhile
            if attempt == ATTEMPTS:
                raise


def prune(folder: Path, root: Path) -> None:
    """Remove empty folders from here up to, and without, the root."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
