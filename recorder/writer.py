"""The node's side of the spool: taps append to memory, one thread writes all journals.

The event loop never waits for the disk. Lists are appended to by the event loop and emptied from the front by the
thread, each in one operation that the interpreter does not interrupt, so no lock is needed.

Order: a recording's events that were queued before a track was opened are durable before that track's journal exists,
unless a sync of the events failed. After such a failure nothing in that journal counts as durable and the alarm stays
until it is closed; a damaged track is written on, as far as the disk takes it.
"""

import errno
import itertools
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import structlog

from recorder.events import RecordingEvent
from recorder.journal import (
    END_BYTES,
    SUFFIX,
    FileHeader,
    RecordingHeader,
    TrackHeader,
    encode_event,
    events_name,
    track_name,
)
from recorder.journal_file import JournalFile, make_folder
from recorder.settings import RecorderSettings
from recorder.tap import SpoolLoad, TrackJournal
from storage.ids import ID_PATTERN

log = structlog.get_logger()

SYNC_AFTER_S = 0.5
"""Bytes of tracks are made durable when they are this old, oldest first; with the write interval and a sync this stays
under the 1.5 s that a power failure may cost."""
STALL_S = 3.0
"""A pass over all journals that takes longer, or bytes that are not durable after so long, are an alarm: a power
failure would cost more than is promised."""
REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""How a disk says that it takes nothing any more."""
CLOSE_WAIT_S = 10.0
"""How long `close` waits for a disk that does not answer."""


class RecordingJournal:
    """The events journal of one recording, and the way to open its track journals. Called from the event loop only."""

    def __init__(self, writer: "SpoolWriter", header: RecordingHeader, epoch: str) -> None:
        self.header = header
        self._writer = writer
        self._epoch = epoch
        self._segments: set[str] = set()
        self._file = writer._open(self._folder / events_name(epoch), self._file_header(None))
        self._closed = False

    @property
    def _folder(self) -> Path:
        return self._writer.folder / self.header.recording_id

    @property
    def closed(self) -> bool:
        """It takes no events: it was closed, or is damaged (a sync failed). `open_recording` gives a new epoch."""
        return self._closed or self._file.damage is not None

    def event(self, event: RecordingEvent) -> "Future[None]":
        """Queue an event; the future resolves when it is durable (about the write interval later), or fails."""
        done: Future[None] = Future()
        if self.closed:
            done.set_exception(self._file.damage or OSError("the recording's journal is closed"))
            return done
        record = encode_event(event)
        self._writer._load.accepted_bytes += len(record)
        self._file.queued.append(record)
        self._file.waiting.append(done)
        return done

    def open_track(self, header: TrackHeader) -> TrackJournal:
        """Begin the journal of a segment. Raises ValueError for an id that is taken or cannot be a file name."""
        if header.segment_id in self._segments or not ID_PATTERN.fullmatch(header.segment_id):
            raise ValueError(f"segment_id {header.segment_id}")
        file = self._writer._open(self._folder / track_name(header.segment_id, self._epoch), self._file_header(header))
        self._segments.add(header.segment_id)
        return self._writer._track(file)

    def close(self) -> None:
        """End the events. Tracks end with their taps: a repair may still be on its way. Idempotent."""
        if not self._closed:
            self._closed = True
            self._writer._load.accepted_bytes += END_BYTES
            self._file.end_ns = time.monotonic_ns()

    def _file_header(self, track: TrackHeader | None) -> FileHeader:
        return FileHeader(
            epoch=self._epoch,
            opened_monotonic_ns=time.monotonic_ns(),
            opened_wall_ns=time.time_ns(),
            recording=self.header,
            track=track,
        )


class SpoolWriter:
    """One per node. All methods but the thread's own are called from the event loop."""

    def __init__(self, folder: Path, settings: RecorderSettings) -> None:
        self.folder = folder
        self._interval_s = settings.write_interval_s
        self._load = SpoolLoad(settings.queue_bytes)
        self._epochs = itertools.count(time.time_ns())
        self._journals: dict[str, RecordingJournal] = {}
        self._tracks: list[TrackJournal] = []
        self._new: list[JournalFile] = []
        self._files: list[JournalFile] = []
        self._stop = threading.Event()
        self._work = threading.Event()
        """Set when there may be something to do; without a journal the thread sleeps."""
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._errors = {"write_errors": 0, "sync_errors": 0}
        self.refusals = 0
        """Of these, those for want of space or because the disk is read-only. Changed by the thread alone."""
        self._problem = ""
        """What failed in the last pass."""
        self._pass_began_s: float | None = None
        """While a pass runs; a pass that hangs is seen by this alone."""
        self._alarm_logged = ""

    @property
    def alarm(self) -> str:
        """Why recordings are at risk now, for people; empty: they are not. Does not wait for the thread."""
        now_s, began_s = time.monotonic(), self._pass_began_s
        if began_s is not None and now_s - began_s > STALL_S:
            return "the spool's disk does not answer"
        if alarm := self._problem or self._load.alarm(now_s):
            return alarm
        late = self._oldest_s(now_s) > STALL_S
        return "the spool's disk is too slow: recordings are not made durable in time" if late else ""

    def start(self) -> None:
        """Raises OSError when the spool cannot be made. Touches the disk: call before the media loop runs."""
        make_folder(self.folder)
        used = [int(path.stem.rpartition("-")[2], 16) for path in self.folder.glob(f"*/*-*{SUFFIX}")]
        self._epochs = itertools.count(max([time.time_ns(), *(epoch + 1 for epoch in used)]))
        self._thread.start()

    def close(self) -> None:
        """End every journal, write and sync all, join the thread (at most CLOSE_WAIT_S)."""
        for track in self._tracks:
            track.end(time.monotonic())
        for journal in self._journals.values():
            journal.close()
        self._stop.set()
        self._work.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WAIT_S)

    def open_recording(self, header: RecordingHeader) -> RecordingJournal:
        """The open journal of this recording, or a new epoch of it."""
        if not ID_PATTERN.fullmatch(header.recording_id):
            raise ValueError("recording_id")
        journal = self._journals.get(header.recording_id)
        if journal is None or journal.closed:
            if journal is not None:
                journal.close()
            self._journals = {name: other for name, other in self._journals.items() if not other._closed}
            journal = RecordingJournal(self, header, f"{next(self._epochs):016x}")
            self._journals[header.recording_id] = journal
        return journal

    def counters(self) -> dict[str, float]:
        return {
            "bytes_written": self._load.written_bytes,
            "bytes_queued": self._load.accepted_bytes - self._load.written_bytes,
            "packets_dropped": self._load.dropped_packets,
            "journals_open": len(self._files) + len(self._new),
            "oldest_unsynced_s": self._oldest_s(time.monotonic()),
            **self._errors,
        }

    def _oldest_s(self, now_s: float) -> float:
        """Age of the oldest bytes that are not durable. What is queued is younger than the pass that runs."""
        waiting = [self._pass_began_s, *(file.waiting_since for file in (*self._files, *self._new))]
        return max((now_s - since for since in waiting if since is not None), default=0.0)

    def _track(self, file: JournalFile) -> TrackJournal:
        track = TrackJournal(file, self._load)
        self._tracks = [*(other for other in self._tracks if not other.ended), track]
        return track

    def _open(self, path: Path, header: FileHeader) -> JournalFile:
        file = JournalFile(path, header)
        self._new.append(file)
        self._work.set()
        return file

    # --- the thread

    def _run(self) -> None:
        give_up_s: float | None = None
        while True:
            self._work.clear()
            if not self._files and not self._new and not self._stop.is_set():
                self._work.wait()
            stopping = self._stop.wait(self._interval_s)
            began_s = time.monotonic()
            if stopping and give_up_s is None:
                give_up_s = began_s + CLOSE_WAIT_S
            self._pass_began_s = began_s
            self._pass(began_s, began_s + self._interval_s)
            self._pass_began_s = None
            self._log_alarm(time.monotonic() - began_s)
            if stopping and not self._files and not self._new:
                return
            if give_up_s is not None and began_s > give_up_s:
                log.error("spool_not_finished", journals=len(self._files), queued_bytes=self.counters()["bytes_queued"])
                return
            if stopping:  # the disk refused something: it gets another chance until give_up_s
                time.sleep(0.01)

    def _pass(self, now_s: float, sync_until_s: float) -> None:
        """Write everything queued, then sync what waits for it, and old bytes as far as time goes."""
        alarm = ""
        new = self._new[: (count := len(self._new))]
        del self._new[:count]
        self._files += new
        events = [file for file in self._files if file.path.name.startswith("events-")]
        tracks = [file for file in self._files if not file.path.name.startswith("events-")]
        for file in events:
            alarm = self._write(file, now_s) or alarm
            if file.born and (file.wants_sync or file.dirty_since is not None):
                alarm = self._sync(file) or alarm
        unsynced = {
            file.path.parent
            for file in events
            if not file.born or (file.dirty_since is not None and file.damage is None)
        }
        for file in tracks:
            if file.born or file.path.parent not in unsynced:
                alarm = self._write(file, now_s) or alarm
        for file in sorted(tracks, key=lambda file: file.dirty_since or now_s):
            wanted = file.wants_sync or (file.dirty_since is not None and now_s - file.dirty_since >= SYNC_AFTER_S)
            if wanted and file.born and time.monotonic() < sync_until_s:
                alarm = self._sync(file) or alarm
        self._files = [file for file in self._files if not file.closed]
        damaged = next((file.damage for file in self._files if file.damage is not None), None)
        self._problem = alarm or ("" if damaged is None else _lost(damaged))

    def _log_alarm(self, took_s: float) -> None:
        if took_s > STALL_S:
            log.warning("spool_stalled", seconds=round(took_s, 1))
        alarm = self.alarm
        if alarm != self._alarm_logged:
            self._alarm_logged = alarm
            log.warning("spool_alarm", alarm=alarm, packets_dropped=self._load.dropped_packets)

    def _write(self, file: JournalFile, now_s: float) -> str:
        before = file.written_bytes
        try:
            if not file.born:
                file.bear()
            file.write(now_s)
        except OSError as error:
            self._errors["write_errors"] += 1
            self.refusals += error.errno in REFUSALS
            return f"cannot write journals: {error.strerror or error}"
        finally:
            self._load.written_bytes += file.written_bytes - before
        return ""

    def _sync(self, file: JournalFile) -> str:
        try:
            file.sync()
        except OSError as error:
            self._errors["sync_errors"] += 1
            self.refusals += error.errno in REFUSALS
            return _lost(error)
        return ""


def _lost(error: OSError) -> str:
    return f"cannot make journals durable: {error.strerror or error}"
