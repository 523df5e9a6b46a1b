"""A finished file to where it stays: row, object store, verification, row; every step again until it succeeds.

Order of truth: the file is durable on disk, the row says `finishing`, the object is put (or completed, if its parts
were sent while it grew: `recorder.progressive`), its size and SHA-256 are read back and compared, the row says
`stored`. Only then does the caller delete what the file was made from. Doing any of it twice is harmless.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from recorder.events import TakeOpened
from recorder.manifest import CONTENT_TYPE, Manifest, Redacted, Segment, file_key, manifest_key, recording_prefix
from recorder.progressive import GrowingFile, ProgressiveUpload
from recorder.provisional import Provisional, provisional_key
from recorder.provisional import encode as encode_provisional
from recorder.report import report_key
from recorder.tail_plan import is_tail
from storage import models
from storage.catalog import Catalog, CatalogConflict
from storage.objects import ObjectNotFound, ObjectStore, ObjectStoreError

log = structlog.get_logger()

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
"""Half of the 30 s within which work goes on after a store or database came back."""
PIECE_BYTES = 1 << 20
PARTS_AT_ONCE = 4
"""Of growing files, in memory and on their way: half of the S3 store's connections, so that the rest goes on too."""

Result = TypeVar("Result")


class Corrupt(ObjectStoreError):
    """What the store gives back is not what it was given."""

    def __init__(self, key: str) -> None:
        super().__init__("corrupt", f"{key} does not read back as it was written")


async def persistently(what: str, operation: Callable[[], Awaitable[Result]], **ids: str) -> Result:
    """Until it succeeds. An object that does not exist is no outage: ObjectNotFound is raised."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await operation()
        except ObjectNotFound:
            raise
        except (ObjectStoreError, SQLAlchemyError, CatalogConflict, OSError) as error:
            log.warning(f"{what}_failed", reason=str(error)[:500], retry_s=pause_s, **ids)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def file_sha256(path: Path) -> tuple[int, str]:
    """Size and digest of a file. Blocking."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


async def read_back(store: ObjectStore, key: str, size_bytes: int, sha256: str) -> None:
    """Read an object back whole and compare it. Raises Corrupt, ObjectNotFound."""
    info = await store.head(key)
    if info.size_bytes != size_bytes:
        raise Corrupt(key)
    digest = hashlib.sha256()
    async for piece in store.get(key):
        digest.update(piece)
    if digest.hexdigest() != sha256:
        raise Corrupt(key)


async def forget_unfinished(store: ObjectStore, session_id: str, recording_id: str) -> None:
    """Delete the tails, then the provisional manifest: while it is there they can be found."""
    prefix = file_key(session_id, recording_id, "server", "")
    for key in [info.key async for info in store.list(prefix) if is_tail(info.key)]:
        await store.delete(key)
    await store.delete(provisional_key(session_id, recording_id))


class Delivery:
    """For the recordings of one recorder process."""

    def __init__(self, catalog: Catalog, store: ObjectStore) -> None:
        self._catalog = catalog
        self._store = store
        self._part_slots = asyncio.Semaphore(PARTS_AT_ONCE)
        self._on_their_way: dict[str, int] = {}
        """Sizes of finished files that are not stored yet, by segment id."""
        self.upload_errors = 0
        """Attempts to store one of them that failed."""

    @property
    def backlog_bytes(self) -> int:
        """Of finished files that the store has not confirmed yet."""
        return sum(self._on_their_way.values())

    def upload(self, find: Callable[[], GrowingFile | None]) -> ProgressiveUpload:
        """Of a file that will be made and delivered; `find`: that file, once it is known."""
        return ProgressiveUpload(self._store, self._part_slots, find)

    async def deliver(
        self,
        segment: Segment,
        path: Path,
        take: TakeOpened,
        session_id: str,
        recording_id: str,
        upload: ProgressiveUpload | None = None,
    ) -> None:
        """Fills in key, size, digest and state of `segment`. `upload`: what was sent of the file while it grew."""
        segment.object_key = file_key(session_id, recording_id, segment.copy, path.name)
        segment.file_name = path.name
        segment.size_bytes, segment.sha256 = await asyncio.to_thread(file_sha256, path)
        ids = {"recording_id": recording_id, "segment_id": segment.segment_id}
        segment.state = "finishing"
        await self.write_row(segment, take, recording_id)

        there = False

        async def put() -> None:
            nonlocal there
            try:
                if not there:
                    if upload is None or not await upload.complete():
                        await self._store.put_file(segment.object_key, path, content_type=segment.content_type)
                    there = True
                await self.verify(segment.object_key, segment.size_bytes, segment.sha256)
            except (ObjectStoreError, OSError) as error:
                self.upload_errors += 1
                there = there and not isinstance(error, Corrupt)
                raise

        self._on_their_way[segment.segment_id] = segment.size_bytes
        try:
            await persistently("segment_upload", put, **ids)
        finally:
            del self._on_their_way[segment.segment_id]
        segment.state = "stored"
        await self.write_row(segment, take, recording_id)
        log.info("segment_stored", copy=segment.copy, size_bytes=segment.size_bytes, **ids)

    async def write_row(self, segment: Segment, take: TakeOpened, recording_id: str) -> None:
        """The segment's row, and that of its take if the node has not written it yet."""

        async def write() -> None:
            kept = await self._catalog.add_take(
                models.Take(
                    id=take.take_id,
                    recording_id=recording_id,
                    participant_id=take.participant_id,
                    kind=take.kind,
                    slot=take.slot,
                )
            )
            await self._catalog.upsert_segment(
                models.Segment(
                    id=segment.segment_id,
                    take_id=kept.id,
                    copy=segment.copy,
                    state=segment.state,
                    codec=segment.codec,
                    content_type=segment.content_type,
                    object_key=segment.object_key,
                    size_bytes=segment.size_bytes,
                    sha256=segment.sha256,
                    start_ns=segment.start_ns,
                    start_bound_ns=segment.start_bound_ns,
                    duration_ns=segment.duration_ns,
                    problem=segment.problem[:500],
                )
            )

        await persistently("segment_row", write, recording_id=recording_id, segment_id=segment.segment_id)

    async def stored_row(self, segment_id: str) -> models.Segment | None:
        """The segment's row when it says that the file is stored."""
        row = await persistently("segment_read", lambda: self._catalog.segment(segment_id), segment_id=segment_id)
        return row if row is not None and row.state == "stored" else None

    async def finish(self, manifest: Manifest, data: bytes) -> None:
        """Write the manifest (`data`: encoded), then say that the recording is finished."""
        key = manifest_key(manifest.session_id, manifest.recording_id)
        ids = {"recording_id": manifest.recording_id}

        async def say_finished() -> None:
            await self._catalog.stop_recording(manifest.recording_id, manifest.stopped_ns)
            await self._catalog.set_recording_state(manifest.recording_id, "finished")

        await persistently("manifest_upload", lambda: self._store.put(key, data, content_type=CONTENT_TYPE), **ids)
        await persistently("recording_row", say_finished, **ids)
        log.info("recording_finished", takes=len(manifest.takes), **ids)

    async def put_report(self, manifest: Manifest, data: bytes) -> None:
        """Write the integrity report (`data`: encoded) of the recording that this is the manifest of."""
        key = report_key(manifest.session_id, manifest.recording_id)
        await persistently(
            "report_upload",
            lambda: self._store.put(key, data, content_type=CONTENT_TYPE),
            recording_id=manifest.recording_id,
        )

    async def put_provisional(self, provisional: Provisional) -> None:
        """Write the provisional manifest. Raises ObjectStoreError: the next one comes soon."""
        manifest = provisional.manifest
        key = provisional_key(manifest.session_id, manifest.recording_id)
        await self._store.put(key, encode_provisional(provisional), content_type=CONTENT_TYPE)

    async def forget_unfinished(self, session_id: str, recording_id: str) -> None:
        """Delete what was there for another machine to finish the recording."""
        await persistently(
            "tails_delete",
            lambda: forget_unfinished(self._store, session_id, recording_id),
            recording_id=recording_id,
        )
        log.info("tails_deleted", recording_id=recording_id)

    async def fetch(self, key: str, size_bytes: int, sha256: str, target: Path) -> None:
        """Append an object to a file, compared. Raises ObjectNotFound; `target` is unchanged when it raises."""
        at = target.stat().st_size if target.exists() else 0

        async def get() -> None:
            digest = hashlib.sha256()
            size = 0
            with target.open("r+b" if target.exists() else "w+b") as file:
                file.truncate(at)
                file.seek(at)
                async for piece in self._store.get(key):
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
            if (size, digest.hexdigest()) != (size_bytes, sha256):
                raise Corrupt(key)

        await persistently("chunk_fetch", get, object_key=key)

    async def deliver_redacted(self, segment: Segment, path: Path, redacted: Redacted) -> None:
        """The file of `redacted`, and the row that says so; nothing is put where it is without a file."""

        async def put() -> None:
            await self._store.put_file(redacted.object_key, path, content_type=segment.content_type)
            await self.verify(redacted.object_key, redacted.size_bytes, redacted.sha256)

        if redacted.object_key:
            await persistently("redacted_upload", put, segment_id=segment.segment_id)
        await self.write_redaction(segment.segment_id, redacted)

    async def write_redaction(self, segment_id: str, redacted: Redacted) -> None:
        """The row."""
        row = models.Redaction(
            segment_id=segment_id,
            object_key=redacted.object_key,
            size_bytes=redacted.size_bytes,
            sha256=redacted.sha256,
            off_record=",".join(redacted.off_record),
            problem=redacted.problem[:500],
            whole_gone=redacted.whole_gone,
        )
        await persistently("redaction_row", lambda: self._catalog.upsert_redaction(row), segment_id=segment_id)

    async def forget_redaction(self, segment_id: str) -> None:
        """Its row: the whole file is on the record again."""
        await persistently(
            "redaction_delete", lambda: self._catalog.delete_redaction(segment_id), segment_id=segment_id
        )

    async def forget_all(self, prefix: str, but: str = "") -> None:
        """Delete every object whose key begins so, `but` this one."""

        async def delete() -> None:
            for key in [info.key async for info in self._store.list(prefix)]:
                if key != but:
                    await self._store.delete(key)

        await persistently("chunks_delete", delete, prefix=prefix)

    async def forget_segment(self, session_id: str, recording_id: str, segment_id: str, but: str) -> None:
        """Delete whatever is in the store of a segment, also uploads that are not complete, `but` one object."""
        prefix = f"{recording_prefix(session_id, recording_id)}/"

        async def delete() -> None:
            for key in [info.key async for info in self._store.list(prefix) if segment_id in info.key]:
                if key != but:
                    await self._store.delete(key)
            for upload in [upload async for upload in self._store.uploads(prefix) if segment_id in upload.key]:
                await self._store.abort_upload(upload.key, upload.upload_id)

        await persistently("segment_purge", delete, segment_id=segment_id)

    async def verify(self, key: str, size_bytes: int, sha256: str) -> None:
        """Read an object back and compare. Raises Corrupt, and ObjectStoreError."""
        await read_back(self._store, key, size_bytes, sha256)
