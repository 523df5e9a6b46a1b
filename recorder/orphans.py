"""Uploads that nobody goes on with: aborted, as their parts cost space and are in no list of objects.

They are left by a process that died between beginning one and remembering it, or that lost its work folder. Another
studio that shares the bucket and the prefix may have one that is as old: it finds it gone, and sends its file again.
"""

import asyncio
import time
from pathlib import Path

import structlog

from recorder.progressive import SUFFIX, read_state
from storage.objects import ObjectStore, ObjectStoreError

log = structlog.get_logger()

PREFIX = "sessions/"
"""Where recorders put files."""
AGE_S = 24 * 3600.0
CHECK_S = 3600.0


async def abort_orphans(store: ObjectStore, work: Path) -> None:
    """Every hour, until cancelled."""
    while True:
        try:
            if aborted := await abort_older(store, work, time.time() - AGE_S):
                log.info("orphaned_uploads_aborted", uploads=aborted)
        except (ObjectStoreError, OSError) as error:
            log.warning("orphaned_uploads_not_aborted", reason=str(error)[:500], retry_s=CHECK_S)
        except Exception:  # what a strange store answers must not end the recorder, at each start again
            log.exception("orphaned_uploads_not_aborted", retry_s=CHECK_S)
        await asyncio.sleep(CHECK_S)


async def abort_older(store: ObjectStore, work: Path, begun_before_s: float) -> int:
    """How many there were that no file in `work` names. `begun_before_s`: Unix time."""
    old = [upload async for upload in store.uploads(PREFIX) if upload.begun_s < begun_before_s]
    named = await asyncio.to_thread(_named, work)
    orphans = [upload for upload in old if upload.upload_id not in named]
    for upload in orphans:
        await store.abort_upload(upload.key, upload.upload_id)
    return len(orphans)


def _named(work: Path) -> set[str]:
    states = map(read_state, work.glob(f"*/*{SUFFIX}"))
    return {state.upload_id for state in states if state is not None}
