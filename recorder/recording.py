"""One recording's folder in the spool: its events and tracks followed, its files delivered, its manifest written.

Everything can be begun anew at any time: what was delivered is remembered in the work folder as one small JSON file a
segment, and all else is made again from the journals, with the same result. Nothing is decided by time: a recording is
over when its events say so, or when nobody writes events any more.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from recorder.delivery import Delivery
from recorder.earlier_file import drop
from recorder.events import TakeOpened
from recorder.findings import findings
from recorder.grading import grade_recording
from recorder.health import Finding
from recorder.journal import SUFFIX, FileHeader, TrackRecord
from recorder.local_copy import LocalCopy
from recorder.manifest import Manifest, Segment, encode, file_key
from recorder.memo import EVENTS_PREFIX, Delivered, redacted_memo
from recorder.progressive import GrowingFile
from recorder.provisional_keeper import ProvisionalKeeper
from recorder.reader import JournalReader, JournalState
from recorder.recording_state import Capture, RecordingState, unfinished
from recorder.redactions import Redactions
from recorder.report import encode as encode_report
from recorder.settings import RecorderSettings
from recorder.stuck_tracks import FILE_NAME as STUCK_NAME
from recorder.stuck_tracks import StuckTrack
from recorder.stuck_tracks import decode as decode_stuck
from recorder.stuck_tracks import encode as encode_stuck
from recorder.track_file import container_of
from recorder.track_map import placed_together
from recorder.track_task import POLL_S, TrackTask, in_thread
from recorder.work_folder import WorkFolder
from recorder.worker_threads import CallHangs

log = structlog.get_logger()

MANIFEST_NAME = "manifest.json"
REPORT_NAME = "report.json"
FAULT_PAUSE_S = 15.0
"""Before what failed unexpectedly is tried again."""


def journal_names(folder: Path) -> frozenset[str]:
    """Names of the journals in a recording's folder; empty when there is none."""
    try:
        return frozenset(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return frozenset()


class RecordingWork:
    """`run` once; it ends when nothing more can come, and must be made anew when `names` is not all there is."""

    def __init__(
        self, spool: Path, work: Path, delivery: Delivery, settings: RecorderSettings, threads: Executor
    ) -> None:
        """`spool`, `work`: this recording's own folders."""
        self.names: frozenset[str] = frozenset()
        """Journals that were taken into account."""
        self._spool = spool
        self._work = work
        self._memos = WorkFolder(work)
        self._delivery = delivery
        self._settings = settings
        self._threads = threads
        self._state: RecordingState | None = None
        self._events: dict[str, JournalReader] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By journal name or segment id."""
        self._making: dict[str, TrackTask] = {}
        """By journal name, of the tracks whose files are being made."""
        self._stuck = decode_stuck(self._memos.read(STUCK_NAME))
        self._waiting: set[str] = set()
        """Journals that hung and are not tried at present."""
        self._late: dict[str, Delivered] = {}
        """What is to stand in the manifest of one that hung just now, by journal name."""
        self._zero_ns = 0
        """Zero of the session clock on the monotonic clock."""
        self._provisional = ProvisionalKeeper(delivery, self._so_far)
        self._segments: dict[str, Delivered] = {}
        """What is done, by segment id."""
        self._redactions = Redactions(work, delivery, threads, self._memos.write)
        self._placed: dict[str, Segment] = {}
        """Server files with what is known of their capture times from all of `_segments`, of which there were"""
        self._placed_of = 0
        self._manifest = self._memos.read(MANIFEST_NAME)
        self._report = self._memos.read(REPORT_NAME)
        self._recall()

    @property
    def readable(self) -> bool:
        """There are events."""
        return self._state is not None

    @property
    def complete(self) -> bool:
        """All local copies that were begun are stored."""
        done = {id for id, known in self._segments.items() if known.segment.state == "stored"}
        return self._state is not None and done.issuperset(self._state.captures)

    @property
    def tracks(self) -> int:
        """Whose files are being made."""
        return len(self._making)

    @property
    def stuck(self) -> int:
        """Tracks on which FFmpeg or the disk hung, and which wait to be tried again."""
        return len(self._waiting)

    def lag_s(self, now_ns: int) -> float:
        """Age of the oldest packet that is in no file yet. `now_ns`: on the monotonic clock."""
        return max((task.lag_s(now_ns) for task in self._making.values()), default=0.0)

    def findings(self, now_ns: int) -> list[Finding]:
        """What is wrong at present with a recording that runs."""
        if self._state is None or self._stopped:
            return []
        hung = [done.take for name in self._waiting if (done := self._stuck[name].done) and done.take]
        id, lag_s = self._state.recording_id, self.lag_s(now_ns)
        return findings(id, self._making.values(), hung, lag_s, now_ns, self._zero_ns)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                provisional = group.create_task(self._provisional.run(), name="provisional manifest")
                while True:
                    self._find_journals(group)
                    self._read_events()
                    self._begin_local_copies(group)
                    await self._place()
                    self._begin_redactions(group)
                    self._begin_purges(group)
                    idle = all(task.done() for task in self._tasks.values())
                    growing = any(reader.state is JournalState.GROWING for reader in self._events.values())
                    if self._state is not None and self._tracks_done() and (self._stopped or not growing):
                        await self._write_manifest(self._state)
                    self._memos.save(time.monotonic())
                    if idle and not growing and self._memos.saved:
                        provisional.cancel()
                        break
                    await asyncio.sleep(POLL_S)
        finally:
            for reader in self._events.values():
                reader.close()

    @property
    def _stopped(self) -> bool:
        return self._state is not None and self._state.stopped_ns is not None

    def _find_journals(self, group: asyncio.TaskGroup) -> None:
        names = journal_names(self._spool)
        for name in sorted(names - self.names):
            if name.startswith(EVENTS_PREFIX):
                self._events[name] = JournalReader(self._spool / name)
            else:
                self._tasks[name] = group.create_task(self._guarded(name, self._track), name=name)
        self.names = names

    def _read_events(self) -> None:
        """All that was written until now, in the order of epochs."""
        for name in sorted(self._events):
            reader = self._events[name]
            while records := reader.read():
                for record in records:
                    if isinstance(record, FileHeader):
                        if self._state is None:
                            ids = record.recording
                            self._state = RecordingState(ids.recording_id, ids.session_id)
                            self._zero_ns = ids.zero_monotonic_ns
                        self._state.wall.opened(record)
                    elif self._state is not None and not isinstance(record, TrackRecord):
                        self._state.apply(record)

    def _tracks_done(self) -> bool:
        """Or hung: a recording does not wait for these."""
        return all(task.done() or name in self._waiting for name, task in self._tasks.items() if name.endswith(SUFFIX))

    async def _guarded(self, name: str, work: Callable[[str], Awaitable[None]]) -> None:
        """A fault costs this track or local copy a pause, and no other anything."""
        while True:
            try:
                return await work(name)
            except Exception:
                log.exception("recording_task_failed", task=name, retry_s=FAULT_PAUSE_S)
            await asyncio.sleep(FAULT_PAUSE_S)

    async def _track(self, name: str) -> None:
        """A track on which a call hangs costs the recording nothing but that track, until it is tried again."""
        if name in self._stuck:
            await self._wait_stuck(name, None)
        while True:
            try:
                await self._make_track(name)
                break
            except CallHangs as error:
                self._note_stuck(name)
                await self._wait_stuck(name, error.returned)
        if self._stuck.pop(name, None) is not None:
            self._memos.write(STUCK_NAME, encode_stuck(self._stuck))

    def _note_stuck(self, name: str) -> None:
        before = self._stuck.get(name, StuckTrack())
        self._stuck[name] = StuckTrack(times=before.times + 1, at_s=time.time(), done=self._late.pop(name, before.done))
        self._memos.write(STUCK_NAME, encode_stuck(self._stuck))
        log.error("track_stuck", journal=name, times=before.times + 1, retry_s=self._stuck[name].wait_s(time.time()))

    async def _wait_stuck(self, name: str, returned: "asyncio.Future[Any] | None") -> None:
        """Until it may be tried again: the call has returned after all, or some time is over."""
        stuck = self._stuck[name]
        if (done := stuck.done) is not None:
            self._segments[done.segment.segment_id] = done
        self._waiting.add(name)
        try:
            if returned is not None:
                await asyncio.wait((returned,), timeout=stuck.wait_s(time.time()))
            else:
                await asyncio.sleep(stuck.wait_s(time.time()))
        finally:
            self._waiting.discard(name)
            self._placed_of = -1

    async def _make_track(self, name: str) -> None:
        journal = self._spool / name
        done = self._memos.remembered(journal.stem.rpartition("-")[0])
        if done is None:
            task = TrackTask(journal, self._work, self._settings, self._threads)
            upload = self._delivery.upload(partial(self._growing, task))
            async with upload.following(), self._provisional.unfinished(name, task, upload):
                self._making[name] = task
                try:
                    segment = await task.run()
                except CallHangs:
                    self._read_events()
                    if task.header is not None and self._state is not None:
                        late = task.late("the recorder hung while it made the file: it is made later")
                        take = self._state.take_of(task.header)
                        self._late[name] = Delivered(take.take_id, late, time.time(), take)
                    raise
                finally:
                    del self._making[name]
                self._read_events()
                if task.header is None or self._state is None:
                    log.error("journal_unusable", journal=str(journal.name), problem=segment.problem)
                    return
                take = self._state.take_of(task.header)
                if segment.state == "failed" or task.path is None:
                    await upload.abandon()
                    await self._delivery.write_row(segment, take, self._state.recording_id)
                else:
                    ids = (self._state.session_id, self._state.recording_id)
                    await self._delivery.deliver(segment, task.path, take, *ids, upload)
            done = Delivered(take.take_id, segment, time.time(), take, task.figures, task.clock)
            self._memos.remember(done)
            if task.path is not None:
                task.path.unlink(missing_ok=True)
                drop(task.path, even_if_longer=True)
        self._segments[done.segment.segment_id] = done

    def _growing(self, task: TrackTask) -> GrowingFile | None:
        """The file that a task makes, once it is known whose it is."""
        if self._state is None or task.path is None or task.header is None:
            return None
        key = file_key(self._state.session_id, self._state.recording_id, "server", task.path.name)
        return GrowingFile(task.path, key, container_of(task.header.stream.codec)[2])

    def _begin_local_copies(self, group: asyncio.TaskGroup) -> None:
        if self._state is None:
            return
        for segment_id, capture in self._state.captures.items():
            take = self._state.takes.get(capture.opened.take_id)
            if capture.finished_chunks is not None and segment_id not in self._tasks and take is not None:
                copying = partial(self._local_copy, capture, take, self._state)
                self._tasks[segment_id] = group.create_task(self._guarded(segment_id, copying), name=segment_id)

    async def _local_copy(self, capture: Capture, take: TakeOpened, state: RecordingState, _: str) -> None:
        done = self._memos.remembered(capture.opened.segment_id)
        if done is None:
            copy = LocalCopy(capture, take, self._work, self._delivery, self._threads)
            segment = await copy.run(state.session_id, state.recording_id)
            done = Delivered(take.take_id, segment, time.time(), take)
            self._memos.remember(done)
        self._segments[done.segment.segment_id] = done

    def _begin_redactions(self, group: asyncio.TaskGroup) -> None:
        if self._state is None:
            return
        for segment_id, done in self._segments.items():
            name = redacted_memo(segment_id)
            before = self._tasks.get(name)
            segment = self._placed.get(segment_id, done.segment)
            if (before is None or before.done()) and self._redactions.is_due(segment, self._state):
                redacting = partial(self._redactions.bring_up_to_date, segment, self._state)
                self._tasks[name] = group.create_task(self._guarded(name, redacting), name=name)

    def _begin_purges(self, group: asyncio.TaskGroup) -> None:
        if self._state is None or not self._state.purged:
            return
        open_captures = [one for one in self._state.captures.values() if one.finished_chunks is None]
        whole = [self._placed.get(id, done.segment) for id, done in self._segments.items()]
        for segment in [*whole, *map(unfinished, open_captures)]:
            name = f"{segment.segment_id} purge"
            before = self._tasks.get(name)
            if (before is None or before.done()) and self._redactions.is_purge_due(segment, self._state):
                purging = partial(self._purge, segment, self._state)
                self._tasks[name] = group.create_task(self._guarded(name, purging), name=name)

    async def _purge(self, segment: Segment, state: RecordingState, _: str) -> None:
        done = self._segments.get(segment.segment_id)
        if done is not None and done.figures is not None:
            done.figures = self._redactions.without_ranges(done.figures, segment, state)
            self._memos.remember(done)
        await self._redactions.purge(segment, state, self._spool, redacted_memo(segment.segment_id))

    async def _place(self) -> None:
        """When there are more files than before."""
        if len(self._segments) == self._placed_of:
            return
        self._placed_of = len(self._segments)
        known = {
            segment_id: (done.segment, done.take.participant_id, done.clock)
            for segment_id, done in self._segments.items()
            if done.take is not None and done.clock is not None
        }
        self._placed = await in_thread(self._threads, placed_together, known)

    async def _write_manifest(self, state: RecordingState) -> None:
        """When it is not what was written last."""
        await self._place()
        manifest = state.manifest(*self._stored())
        data = encode(manifest)
        if data != self._manifest or not self._report:
            for segment_id, segment in self._placed.items():
                take = self._segments[segment_id].take
                assert take is not None, "it was placed"
                await self._delivery.write_row(segment, take, state.recording_id)
            await self._write_report(manifest)
            await self._delivery.finish(manifest, data)
            await self._provisional.forget(manifest)
            self._manifest = data
            self._memos.write(MANIFEST_NAME, data)

    def _so_far(self) -> Manifest | None:
        return self._state.manifest(*self._stored()) if self._state is not None else None

    def _stored(self) -> tuple[dict[str, list[Segment]], dict[str, Segment]]:
        """What is done: of the server by take, of browsers by segment id."""
        assert self._state is not None
        server: dict[str, list[Segment]] = {}
        local: dict[str, Segment] = {}
        for segment_id, done in sorted(self._segments.items()):
            if done.take is not None:
                self._state.takes.setdefault(done.take_id, done.take)
            if done.segment.copy == "local":
                local[segment_id] = self._redactions.shown(done.segment, self._state)
            else:
                shown = self._placed.get(segment_id, done.segment)
                server.setdefault(done.take_id, []).append(self._redactions.shown(shown, self._state))
        return server, local

    async def _write_report(self, manifest: Manifest) -> None:
        """When it is not what was written last. Before the manifest, so that a finished recording has its report."""
        figures = {id: done.figures for id, done in self._segments.items() if done.figures is not None}
        data = encode_report(grade_recording(manifest, figures))
        if data != self._report:
            await self._delivery.put_report(manifest, data)
            self._report = data
            self._memos.write(REPORT_NAME, data)

    def _recall(self) -> None:
        """What was stored is in the manifest also when its journal is deleted."""
        for segment_id, done in self._memos.all_remembered():
            self._segments[segment_id] = done
            if data := self._memos.read(redacted_memo(segment_id)):
                self._redactions.recall(segment_id, data)
