"""All recordings in the spool, each in its own task, and the end of their journals' lives.

The tail of the spool is followed by looking: a recording that may grow every POLL_S, one at rest every IDLE_POLL_S. A
fault in one recording's work is logged and costs that recording a pause, nothing else. `recorder.retention` says when
journals are deleted.
"""

import asyncio
import os
import time
from concurrent.futures import Executor
from pathlib import Path

import structlog

from recorder.delivery import Delivery
from recorder.health import Finding, Health
from recorder.recording import FAULT_PAUSE_S, RecordingWork, journal_names
from recorder.retention import expire_recording, expire_tracks, remove_doomed
from recorder.settings import RecorderSettings
from recorder.track_task import POLL_S, in_thread
from storage.ids import ID_PATTERN

log = structlog.get_logger()

IDLE_POLL_S = 2.0
"""A local copy's late chunks may open a recording's journal again at any time."""
RETENTION_CHECK_S = 60.0


class _Resting:
    """A recording that nobody works on."""

    def __init__(self, names: frozenset[str], look_at_s: float, complete: bool | None = None) -> None:
        self.names = names
        self.complete = complete
        """Whether all local copies are stored; None: it is not known, and its events must stay."""
        self.look_at_s = look_at_s
        """Monotonic time of the next look."""


class SpoolFollower:
    def __init__(
        self, spool: Path, work: Path, delivery: Delivery, settings: RecorderSettings, threads: Executor
    ) -> None:
        self._spool = spool
        self._work = work
        self._delivery = delivery
        self._settings = settings
        self._threads = threads
        self._working: dict[str, RecordingWork | None] = {}
        """None until its task has begun."""
        self._resting: dict[str, _Resting] = {}
        self._expire_at_s: dict[str, float] = {}
        """By recording id, as the next."""
        self._told: set[str] = set()
        """Recordings whose journals without a file were logged."""

    def health(self, now_ns: int) -> Health:
        """`now_ns`: on the monotonic clock."""
        works = [work for work in self._working.values() if work is not None]
        return Health(
            lag_s=max((work.lag_s(now_ns) for work in works), default=0.0),
            tracks=sum(work.tracks for work in works),
            tracks_stuck=sum(work.stuck for work in works),
            upload_backlog_bytes=self._delivery.backlog_bytes,
            upload_errors=self._delivery.upload_errors,
        )

    def findings(self, now_ns: int) -> list[Finding]:
        """What is wrong at present with recordings that run."""
        return [finding for work in self._working.values() if work is not None for finding in work.findings(now_ns)]

    async def run(self) -> None:
        """Until cancelled."""
        await in_thread(self._threads, remove_doomed, self._spool, self._work)
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    names = sorted(os.listdir(self._spool))
                except OSError as error:
                    log.error("spool_unreadable", reason=str(error), retry_s=FAULT_PAUSE_S)
                    await asyncio.sleep(FAULT_PAUSE_S)
                    continue
                for recording_id in filter(ID_PATTERN.fullmatch, names):
                    if await self._may_wake(recording_id):
                        self._working[recording_id] = None
                        self._resting.pop(recording_id, None)
                        group.create_task(self._follow(recording_id), name=recording_id)
                await asyncio.sleep(POLL_S)

    async def _may_wake(self, recording_id: str) -> bool:
        now_s = time.monotonic()
        try:
            if now_s >= self._expire_at_s.get(recording_id, 0.0):
                self._expire_at_s[recording_id] = now_s + RETENTION_CHECK_S
                await in_thread(self._threads, self._expire, recording_id)
            return recording_id not in self._working and await self._wakes(recording_id, now_s)
        except NotADirectoryError:
            return False
        except OSError as error:
            log.error("journals_unreadable", recording_id=recording_id, reason=str(error), retry_s=FAULT_PAUSE_S)
            self._resting[recording_id] = _Resting(frozenset(), time.monotonic() + FAULT_PAUSE_S)
            return False

    async def _wakes(self, recording_id: str, now_s: float) -> bool:
        """There is something to do for this recording."""
        resting = self._resting.get(recording_id)
        if resting is None:
            return bool(journal_names(self._spool / recording_id))
        if now_s < resting.look_at_s:
            return False
        resting.look_at_s = now_s + IDLE_POLL_S
        return not journal_names(self._spool / recording_id) <= resting.names

    async def _follow(self, recording_id: str) -> None:
        spool, work_folder = self._spool / recording_id, self._work / recording_id
        try:
            work = RecordingWork(spool, work_folder, self._delivery, self._settings, self._threads)
            self._working[recording_id] = work
            await work.run()
            complete = work.complete if work.readable else None
            self._resting[recording_id] = _Resting(work.names, time.monotonic(), complete)
            self._expire_at_s.pop(recording_id, None)
        except Exception:
            log.exception("recording_work_failed", recording_id=recording_id)
            self._resting[recording_id] = _Resting(frozenset(), time.monotonic() + FAULT_PAUSE_S)
        finally:
            del self._working[recording_id]

    def _expire(self, recording_id: str) -> None:
        spool, work, keep_days = self._spool / recording_id, self._work / recording_id, self._settings.keep_journal_days
        gone, without_file = expire_tracks(spool, work, keep_days, time.time())
        if gone:
            log.info("track_journals_deleted", recording_id=recording_id, journals=gone)
        resting = self._resting.get(recording_id)
        if resting is None or resting.complete is None:
            return
        if without_file and recording_id not in self._told:
            self._told.add(recording_id)
            log.warning("journals_without_file_kept", recording_id=recording_id, journals=without_file)
        if expire_recording(spool, work, keep_days, resting.complete, time.time()):
            self._resting.pop(recording_id, None)
            self._expire_at_s.pop(recording_id, None)
            self._told.discard(recording_id)
            log.info("journals_deleted", recording_id=recording_id)
