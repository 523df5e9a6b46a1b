"""One pass over a spool without the recorder process: files, manifests and reports of what is there, and no waiting.

The same work as the recorder's (`recorder.recording`), which must not run meanwhile: the caller holds the spool's lock.
Tracks on which the recorder hung are tried at once.
"""

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import MsgspecError
from msgspec.structs import replace

from recorder import stuck_tracks
from recorder.delivery import Delivery
from recorder.manifest import Manifest, decode
from recorder.recording import MANIFEST_NAME, RecordingWork, journal_names
from recorder.settings import RecorderSettings
from recorder.worker_threads import WorkerThreads
from storage.ids import ID_PATTERN


class Worked(NamedTuple):
    recording_id: str
    manifest: Manifest | None
    """As it was written now or before; None: there are no events, or it was not written."""


def recordings_in(spool: Path) -> list[str]:
    """Ids of those that have journals."""
    return [name for name in sorted(os.listdir(spool)) if ID_PATTERN.fullmatch(name) and journal_names(spool / name)]


async def work_through(
    data: Path, recording_ids: Sequence[str], delivery: Delivery, settings: RecorderSettings
) -> AsyncIterator[Worked]:
    """Finish these recordings one by one. A store or database that fails is waited for, as the recorder does."""
    threads = WorkerThreads()
    try:
        for recording_id in recording_ids:
            work = data / "work" / recording_id
            _try_stuck_at_once(work / stuck_tracks.FILE_NAME)
            await RecordingWork(data / "spool" / recording_id, work, delivery, settings, threads).run()
            yield Worked(recording_id, _manifest(work / MANIFEST_NAME))
    finally:
        threads.shutdown(wait=not threads.hung)


def _try_stuck_at_once(path: Path) -> None:
    if path.exists():
        stuck = stuck_tracks.decode(path.read_bytes())
        path.write_bytes(stuck_tracks.encode({name: replace(track, at_s=0.0) for name, track in stuck.items()}))


def _manifest(path: Path) -> Manifest | None:
    try:
        return decode(path.read_bytes())
    except (FileNotFoundError, MsgspecError):
        return None
