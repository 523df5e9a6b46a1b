"""`stemroom recover`: by hand, files from journals, all that is in the spool, or what is in the object store."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import msgspec
import typer

from recorder.delivery import Delivery
from recorder.journal import FileHeader
from recorder.manifest import Manifest, Segment, manifest_key
from recorder.reader import JournalReader
from recorder.settings import RecorderSettings
from recorder.spool_lock import claim_spool
from recorder.spool_pass import recordings_in, work_through
from recorder.store_recovery import RecoveryError, recover
from recorder.track import TrackPipeline
from recorder.track_map import placed_alone
from recorder.track_task import note_end
from stemroom.config import Config
from stemroom.journal_records import every_record
from storage import open_store
from storage.catalog import Catalog
from storage.database import MigrationError, open_database
from storage.folder_lock import FolderInUse
from storage.ids import ID_PATTERN
from storage.objects import ObjectStoreError

STILL_S = 15.0
"""Half as long again as the time between two provisional manifests."""


class RecoverError(Exception):
    """A sentence for whoever asked."""


def from_journals(
    settings: RecorderSettings, journals: Sequence[Path], into: Path, announce: Callable[[str], None]
) -> None:
    """Raises RecoverError when all were tried and some failed."""
    failed: list[str] = []
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecoverError(f"{into}: {error.strerror}") from None
    for journal_file in journals:
        try:
            announce(describe(*recover_file(journal_file, into, settings)))
        except RecoverError as error:
            failed.append(str(error))
    if failed:
        raise RecoverError("\n".join(failed))


def from_store(config: Config, recording_id: str, announce: Callable[[str], None]) -> None:
    """Finish a recording whose machine is lost. Raises RecoverError, also when some file could not be had."""
    if not ID_PATTERN.match(recording_id):
        raise RecoverError(f"{recording_id!r} is no recording's id: those look like rec_...")
    try:
        segments = asyncio.run(_from_store(config, recording_id, announce))
    except (RecoveryError, ObjectStoreError, OSError, ValueError) as error:
        raise RecoverError(str(error)) from error
    if lost := [segment.segment_id for segment in segments if segment.state == "failed"]:
        raise RecoverError(f"not recovered: {', '.join(lost)}")


async def _from_store(config: Config, recording_id: str, announce: Callable[[str], None]) -> list[Segment]:
    """Of the server's copies."""
    data = Path(config.data.folder)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(config.object_store, data)
    try:
        await store.start()
        with tempfile.TemporaryDirectory(dir=data) as folder:
            announce(f"looking for {STILL_S:.0f} s whether somebody still records")
            manifest = await recover(store, recording_id, Path(folder), STILL_S)
    finally:
        await store.close()
    segments = _server_copies(manifest)
    for segment in segments:
        announce(describe(Path(segment.object_key or segment.file_name), segment))
    announce(manifest_key(manifest.session_id, manifest.recording_id))
    return segments


def from_spool(config: Config, recording_id: str | None, announce: Callable[[str], None]) -> None:
    """Finish this recording, or all that are in the spool. Raises RecoverError, also when some file failed."""
    spool = Path(config.data.folder) / "spool"
    try:
        if not spool.is_dir():
            raise RecoverError(f"{spool} is not there: nothing was recorded with this data folder")
        with claim_spool(spool):
            found = recordings_in(spool)
            if recording_id is not None and recording_id not in found:
                raise RecoverError(f"the spool has no journals of {recording_id}")
            failed = asyncio.run(_from_spool(config, [recording_id] if recording_id else found, announce))
    except FolderInUse as error:
        raise RecoverError(f"{error}: it does this by itself; stop the studio first") from None
    except (OSError, ObjectStoreError, MigrationError) as error:
        raise RecoverError(str(error)) from error
    if failed:
        raise RecoverError(f"not recovered: {', '.join(failed)}")


async def _from_spool(config: Config, recording_ids: list[str], announce: Callable[[str], None]) -> list[str]:
    """Ids of recordings and segments that failed."""
    data = Path(config.data.folder)
    database = open_database(config.database, data)
    store = open_store(config.object_store, data)
    failed: list[str] = []
    try:
        await database.migrate()
        await store.start()
        delivery = Delivery(Catalog(database), store)
        async for worked in work_through(data, recording_ids, delivery, config.recorder):
            if worked.manifest is None:
                failed.append(worked.recording_id)
                continue
            announce(worked.recording_id)
            for segment in _server_copies(worked.manifest):
                announce(f"  {describe(Path(segment.object_key or segment.segment_id), segment)}")
                if segment.state == "failed":
                    failed.append(segment.segment_id)
    finally:
        await store.close()
        await database.close()
    return failed


def _server_copies(manifest: Manifest) -> list[Segment]:
    return [segment for take in manifest.takes for segment in take.segments if segment.copy == "server"]


def recover_file(journal: Path, into: Path, settings: RecorderSettings) -> tuple[Path, Segment]:
    """Make the file of one journal in a folder, and beside it, as JSON, what the recorder knows of it.

    Raises RecoverError. The same journal and settings always give the same file.
    """
    try:
        reader = JournalReader(journal)
        with contextlib.closing(reader):
            return _make(reader, into, settings)
    except (av.FFmpegError, OSError) as error:
        raise RecoverError(f"{journal.name}: {error}") from error


def _make(reader: JournalReader, into: Path, settings: RecorderSettings) -> tuple[Path, Segment]:
    name = reader.path.name
    records = every_record(reader, name)
    header = next(records, None)
    if not isinstance(header, FileHeader):
        raise RecoverError(f"{name}: {reader.problem or 'it has no header: nothing was written to it'}")
    if header.track is None:
        raise RecoverError(f"{name}: a journal of events has no media; give those named seg_...")
    names = [f"{header.track.segment_id}.{extension}" for extension in ("webm", "mkv", "json")]
    if there := next((name for name in names if (into / name).exists()), None):
        raise RecoverError(f"{name}: {into / there} is there already; nothing was changed")
    pipeline = TrackPipeline(header, header.track, into, settings)
    try:
        for record in records:
            pipeline.feed([record])
        segment = pipeline.finish()
        if segment.state != "failed":
            segment = placed_alone(segment, pipeline.clock_facts())
        if segment.state == "failed":
            raise RecoverError(f"{name}: {segment.problem}")
    except BaseException:
        pipeline.abandon()
        pipeline.path.unlink(missing_ok=True)
        raise
    note_end(segment, reader)
    (into / names[-1]).write_bytes(msgspec.json.format(msgspec.json.encode(segment), indent=2) + b"\n")
    return pipeline.path, segment


def describe(path: Path, segment: Segment) -> str:
    """One line for a terminal."""
    seconds = segment.duration_ns / 1e9
    text = f"{path}  {seconds:.1f} s of {segment.codec}, begins {segment.start_ns / 1e9:.3f} s into the session"
    lost = segment.packets.lost if segment.packets is not None else 0
    if lost:
        text += f", {lost} packets never came"
    if segment.torn:
        text += ", its journal is torn"
    if segment.problem:
        text += f": {segment.problem}"
    return typer.style(text, fg=typer.colors.YELLOW if lost or segment.torn else None)
