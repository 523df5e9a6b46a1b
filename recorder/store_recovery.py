"""Finish a recording from what is in the object store alone: its machine is lost, and this one never saw its journals.

The provisional manifest says which files were growing. Of each, the parts and tails that the store has are put together
and remuxed, for its duration and cues; then the manifest is written. Doing any of it twice is harmless. Of each file
the last seconds are missing: what had not gone to the store. There is no integrity report: that is made from packets.
"""

import asyncio
import hashlib
import os
from pathlib import Path

import av
import structlog
from msgspec import MsgspecError, structs

from recorder import manifest as manifests
from recorder import provisional as provisionals
from recorder.delivery import file_sha256, forget_unfinished, read_back
from recorder.head import HeadError, read_size
from recorder.live_index import LiveIndex
from recorder.manifest import CONTENT_TYPE, Manifest, Segment, manifest_key, software, without_whole_file
from recorder.off_record import concerning
from recorder.provisional import Provisional, UnfinishedFile
from recorder.remux import RemuxedFile, remux
from recorder.tail_plan import offset_of, tails_prefix
from recorder.timeline import START_BOUND_NS
from recorder.track_file import container_of
from storage.objects import ObjectNotFound, ObjectStore, PartInfo, UploadNotFound

log = structlog.get_logger()

UNKNOWN_START_BOUND_NS = 10_000_000_000
"""Of a file that had its first frame after the provisional manifest was last written."""
PROBLEM = "finished from what was in the object store: what came in its last seconds is missing"


class RecoveryError(Exception):
    """A sentence for whoever asked."""


async def find(store: ObjectStore, recording_id: str) -> Provisional:
    """Looks through the whole store. Raises RecoveryError, ObjectStoreError."""
    end = f"/{recording_id}/{provisionals.NAME}"
    async for info in store.list("sessions/"):
        if info.key.endswith(end):
            try:
                return provisionals.decode(await _read(store, info.key))
            except MsgspecError as error:
                raise RecoveryError(f"{info.key} cannot be read: {error}") from None
    raise RecoveryError(f"the store has nothing unfinished of {recording_id}")


async def recover(store: ObjectStore, recording_id: str, folder: Path, watch_s: float) -> Manifest:
    """Finish it and return its manifest, as written. `folder`: for files as large as those of the recording.

    `watch_s`: for so long its provisional manifest must not change, or somebody still records; above
    `provisional_keeper.WRITTEN_EVERY_S`. Clocks of different machines say nothing about that. Raises RecoveryError,
    ObjectStoreError, OSError.
    """
    provisional = await find(store, recording_id)
    await asyncio.sleep(watch_s)
    if await find(store, recording_id) != provisional:
        raise RecoveryError(f"{recording_id} is still recorded: its provisional manifest changed in these {watch_s} s")
    manifest = await _finished(store, provisional.manifest) or provisional.manifest
    manifest = structs.replace(manifest, software=software())
    there = {segment.segment_id for take in manifest.takes for segment in take.segments if segment.state == "stored"}
    takes = {take.take_id: take for take in manifest.takes}
    for file in provisional.uploads:
        if file.segment_id not in there and file.take_id in takes:
            segment = await _finish(store, file, folder, manifest.started_ns)
            takes[file.take_id].segments.append(_shown(segment, manifest))
            manifest.stopped_ns = max(manifest.stopped_ns, segment.start_ns + segment.duration_ns)
    key = manifest_key(manifest.session_id, manifest.recording_id)
    await store.put(key, manifests.encode(manifest), content_type=CONTENT_TYPE)
    await forget_unfinished(store, manifest.session_id, manifest.recording_id)
    return manifest


async def _finished(store: ObjectStore, manifest: Manifest) -> Manifest | None:
    """The manifest that the recorder came to write."""
    key = manifest_key(manifest.session_id, manifest.recording_id)
    try:
        return manifests.decode(await _read(store, key))
    except ObjectNotFound:
        return None
    except MsgspecError as error:
        raise RecoveryError(f"{key} cannot be read: {error}") from None


def _shown(segment: Segment, manifest: Manifest) -> Segment:
    """What may hold something off the record is held back: without its journal it cannot be made without that."""
    held_back = concerning(manifest.off_record, segment.start_ns, segment.start_bound_ns, segment.duration_ns)
    return without_whole_file(segment, None) if held_back else segment


async def _finish(store: ObjectStore, file: UnfinishedFile, folder: Path, started_ns: int) -> Segment:
    name = file.key.rpartition("/")[2]
    segment = Segment(
        segment_id=file.segment_id,
        copy="server",
        state="failed",
        codec=file.codec,
        content_type=file.content_type,
        file_name=name,
        start_ns=started_ns if file.start_ns is None else file.start_ns,
        start_bound_ns=UNKNOWN_START_BOUND_NS if file.start_ns is None else START_BOUND_NS,
        made_by=software(),
        torn=True,
        problem=PROBLEM,
    )
    raw, whole = folder / f"{name}.raw", folder / name
    try:
        await _fetch(store, file, raw)
        try:
            remuxed, size = await asyncio.to_thread(_remux, raw, whole, file.codec)
        except (av.FFmpegError, ValueError) as error:
            log.warning("not_recovered", segment_id=file.segment_id, reason=str(error))
            segment.problem = "nothing of it was in the object store"
            return segment
        segment.width, segment.height = size
        segment.duration_ns = remuxed.duration_ns
        segment.size_bytes, segment.sha256 = await asyncio.to_thread(file_sha256, whole)
        segment.object_key = file.key
        await store.put_file(file.key, whole, content_type=file.content_type)
        await read_back(store, segment.object_key, segment.size_bytes, segment.sha256)
        segment.state = "stored"
        log.info("recovered", segment_id=file.segment_id, size_bytes=segment.size_bytes)
        return segment
    finally:
        raw.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)


async def _fetch(store: ObjectStore, file: UnfinishedFile, target: Path) -> None:
    """All that the store has of a file, from its beginning, into `target`."""
    if not await _is_there(store, file.key):
        upload_id, parts = await _longest_upload(store, file)
        at = len(parts) * file.part_bytes
        rest = (await _joined_tails(store, file, at))[: file.part_bytes]
        if not parts:
            await asyncio.to_thread(target.write_bytes, rest)
            return
        if rest:
            parts.append(await store.put_part(file.key, upload_id, len(parts) + 1, rest))
        await store.complete_upload(file.key, upload_id, parts)
    with target.open("wb") as copy:
        async for piece in store.get(file.key):
            await asyncio.to_thread(copy.write, piece)


async def _longest_upload(store: ObjectStore, file: UnfinishedFile) -> tuple[str, list[PartInfo]]:
    """Its id and parts. It may have been begun after the provisional manifest was written."""
    ids = {upload.upload_id async for upload in store.uploads(file.key) if upload.key == file.key}
    found = [(upload_id, await _whole_parts(store, file, upload_id)) for upload_id in sorted(ids)]
    return max(found, key=lambda each: len(each[1]), default=("", []))


async def _whole_parts(store: ObjectStore, file: UnfinishedFile, upload_id: str) -> list[PartInfo]:
    """From the first one on, without a hole."""
    try:
        listed = await store.parts(file.key, upload_id)
    except UploadNotFound:
        return []
    named = {(part.number, part.etag) for part in file.parts}
    # Beside a part those may be listed that it replaced: the one that is named, or else the last one, counts.
    chosen: dict[int, PartInfo] = {}
    for part in listed:
        if part.size_bytes == file.part_bytes and not _is_named(chosen.get(part.number), named):
            chosen[part.number] = part
    whole: list[PartInfo] = []
    while len(whole) + 1 in chosen:
        whole.append(chosen[len(whole) + 1])
    return whole


def _is_named(part: PartInfo | None, named: set[tuple[int, str]]) -> bool:
    return part is not None and (part.number, part.etag) in named


async def _joined_tails(store: ObjectStore, file: UnfinishedFile, at: int) -> bytes:
    """What follows this place, without a hole."""
    named = {tail.offset: tail for tail in file.tails}
    keys = [info.key async for info in store.list(tails_prefix(file.key))]
    joined = b""
    for key in sorted(keys, key=offset_of):
        offset = offset_of(key)
        data = await _read(store, key)
        tail = named.get(offset)
        if tail is not None and tail.size_bytes == len(data) and tail.sha256 != hashlib.sha256(data).hexdigest():
            break
        if offset <= at + len(joined) < offset + len(data):
            joined += data[at + len(joined) - offset :]
    return joined


def _remux(raw: Path, target: Path, codec: str) -> tuple[RemuxedFile, tuple[int, int]]:
    """Raises av.FFmpegError, ValueError (nothing in it), OSError. Also the size that the head states; (0, 0): sound."""
    index = LiveIndex()
    with raw.open("rb") as file:
        index.extend(lambda offset, length: os.pread(file.fileno(), length, offset), raw.stat().st_size)
    os.truncate(raw, index.indexed_bytes)  # a cluster that is cut off would end the reading with an error
    size = None if codec == "opus" else _stated_size(raw)
    return remux(raw, target, container_of(codec)[0], size), size or (0, 0)


def _stated_size(raw: Path) -> tuple[int, int] | None:
    try:
        return read_size(raw)
    except HeadError:
        return None


async def _is_there(store: ObjectStore, key: str) -> bool:
    try:
        await store.head(key)
    except ObjectNotFound:
        return False
    return True


async def _read(store: ObjectStore, key: str) -> bytes:
    return b"".join([piece async for piece in store.get(key)])
