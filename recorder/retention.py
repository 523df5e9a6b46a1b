"""When journals may go. Blocking; it decides from the folders alone, so it can be asked at any time.

A track's journal goes when its own file is stored and verified and `keep_days` have passed since. One that no file was
made from is never deleted. The event journals go last, when no other journal is left: `keep_days` after the last of
them grew, or EVENTS_KEPT_DAYS after it while a local copy is unfinished or failed.
"""

import os
import shutil
from pathlib import Path

import msgspec

from recorder.journal import SUFFIX
from recorder.memo import EVENTS_PREFIX, decode
from storage.files import fsync_folder

EVENTS_KEPT_DAYS = 30.0
"""How long a browser may take to bring the rest of its local copy."""
DAY_S = 86_400.0
DOOMED_SUFFIX = ".doomed"
"""Of a recording's folder that is being deleted, in one step for everybody: a manifest made from a part of its journals
would replace the good one."""


def expire_tracks(spool: Path, work: Path, keep_days: float, now_s: float) -> tuple[int, int]:
    """Delete the track journals whose time has come; how many went, and how many stay without a file. `now_s`: Unix."""
    gone = without_file = 0
    for name in sorted(os.listdir(spool)):
        if name.endswith(SUFFIX) and not name.startswith(EVENTS_PREFIX):
            delivered_s = _delivered_s(work / f"{name.rpartition('-')[0]}.json")
            if delivered_s is None:
                without_file += 1
            elif now_s - delivered_s > keep_days * DAY_S:
                (spool / name).unlink(missing_ok=True)
                gone += 1
    return gone, without_file


def expire_recording(spool: Path, work: Path, keep_days: float, complete: bool, now_s: float) -> bool:
    """Delete all that is left of a recording nobody works on, if its time has come; whether it had."""
    journals = [path for path in spool.iterdir() if path.suffix == SUFFIX]
    if any(not path.name.startswith(EVENTS_PREFIX) for path in journals):
        return False
    grown_s = max((path.stat().st_mtime for path in journals), default=0.0)
    if now_s - grown_s <= (keep_days if complete else max(keep_days, EVENTS_KEPT_DAYS)) * DAY_S:
        return False
    doomed = spool.with_name(spool.name + DOOMED_SUFFIX)
    spool.rename(doomed)
    fsync_folder(spool.parent)
    _remove(doomed, work)
    return True


def remove_doomed(spool: Path, work: Path) -> None:
    """Go on with what a process that died had begun to delete. `spool`, `work`: of all recordings."""
    for doomed in spool.glob(f"*{DOOMED_SUFFIX}"):
        _remove(doomed, work / doomed.stem)


def _remove(doomed: Path, work: Path) -> None:
    """The journals last: while they are there it is known what is to go."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(doomed, ignore_errors=True)


def _delivered_s(memo: Path) -> float | None:
    try:
        done = decode(memo.read_bytes())
        if done.segment.state != "stored":
            return None
        return done.delivered_s or memo.stat().st_mtime
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
