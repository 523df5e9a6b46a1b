"""Uploads that nobody goes on with: aborted, as their parts cost space and are in no list of objects.

They are left by a process that died between beginning one and remembering it, or that lost its work folder. What
another machine that shares the bucket and the prefix still sends, its recording's provisional manifest names: that
stays, and what a lost machine was sending stays for AGE_S after its last sign, for `stemroom recover --from-store`.
"""

import asyncio
import time
from pathlib import Path

import structlog
from msgspec import MsgspecError

from recorder import provisional
from recorder.progressive import SUFFIX, read_state
from storage.objects import ObjectNotFound, ObjectStore, ObjectStoreError

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
    """How many there were that nobody goes on with. `begun_before_s`: Unix time."""
    old = [upload async for upload in store.uploads(PREFIX) if upload.begun_s < begun_before_s]
    named = await asyncio.to_thread(_named, work)
    elsewhere: dict[str, set[str]] = {}
    aborted = 0
    for upload in old:
        recording = upload.key.rpartition("/server/")[0]
        if upload.upload_id in named:
            continue
        if recording not in elsewhere:
            elsewhere[recording] = await _named_elsewhere(store, recording, begun_before_s)
        if upload.upload_id not in elsewhere[recording]:
            await store.abort_upload(upload.key, upload.upload_id)
            aborted += 1
    return aborted


async def _named_elsewhere(store: ObjectStore, recording: str, written_before_s: float) -> set[str]:
    """Uploads of a fresh provisional manifest. `recording`: how the keys of the recording begin; empty: of none."""
    if not recording:
        return set()
    try:
        data = b"".join([piece async for piece in store.get(f"{recording}/{provisional.NAME}")])
        there = provisional.decode(data)
    except (ObjectNotFound, MsgspecError):
        return set()
    return {file.upload_id for file in there.uploads} if there.written_s >= written_before_s else set()


def _named(work: Path) -> set[str]:
    states = map(read_state, work.glob(f"*/*{SUFFIX}"))
    return {state.upload_id for state in states if state is not None}
