"""`stemroom recover`: files from journals, by hand."""

import contextlib
from pathlib import Path

import av
import msgspec
import typer

from recorder.journal import FileHeader
from recorder.manifest import Segment
from recorder.reader import JournalReader
from recorder.settings import RecorderSettings
from recorder.track import TrackPipeline
from recorder.track_map import placed_alone
from recorder.track_task import note_end
from stemroom.journal_records import every_record


class RecoverError(Exception):
    """A sentence for whoever asked."""


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
