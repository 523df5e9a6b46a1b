"""A file that is being made anew, and the unfinished one of before: what can be played does not get shorter meanwhile.

The recorder makes a file anew when it was killed, or when the disk failed. Until the new one is as long, the other one
stays beside it. Both have the same bytes, as far as they go. Blocking; never raises: nothing depends on it but playing.
"""

from pathlib import Path

SUFFIX = ".before"


def earlier(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def set_aside(path: Path) -> bool:
    """Before `path` is written from its beginning. Whether there is an earlier file now."""
    before = earlier(path)
    try:
        if _size(path) > _size(before):
            path.replace(before)
        return before.exists()
    except OSError:
        return False


def drop(path: Path, *, even_if_longer: bool = False) -> bool:
    """Delete the earlier file of `path` once it is not longer; whether it is gone."""
    before = earlier(path)
    try:
        if even_if_longer or _size(path) >= _size(before):
            before.unlink(missing_ok=True)
            return True
    except OSError:
        pass
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
