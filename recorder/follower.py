"""All recordings in the spool, each in its own task, and the end of their journals' lives.

The tail of the spool is followed by looking: a recording that may grow every POLL_S, one at rest every IDLE_POLL_S. A
fault in one recording's work is logged and costs that recording a pause, nothing else. Journals are deleted when
everything made from them is stored and verified and `keep_journal_days` have passed since they last grew.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import structlog

from recorder.delivery import Delivery
from recorder.recording import RecordingWork, journal_names
from recorder.settings import RecorderSettings
from recorder.track_task import POLL_S, in_thread
from storage.ids import ID_PATTERN

log = structlog.get_logger()

IDLE_POLL_S = 2.0
"""A local copy's late chunks may open a recording's journal again at any time."""
FAULT_PAUSE_S = 15.0
RETENTION_CHECK_S = 60.0
DAY_S = 86_400.0


class _Resting:
    """A recording that nobody works on."""

    def __init__(self, names: frozenset[str], complete: bool, look_at_s: float) -> None:
        self.names = names
        self.complete = complete
        self.look_at_s = look_at_s
        """Monotonic time of the next look."""
        self.check_age_s = 0.0


class SpoolFollower:
    def __init__(
        self, spool: Path, work: Path, delivery: Delivery, settings: RecorderSettings, threads: Executor
    ) -> None:
        self._spool = spool
        self._work = work
        self._delivery = delivery
        self._settings = settings
        self._threads = threads
        self._working: set[str] = set()
        self._resting: dict[str, _Resting] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for recording_id in self._recordings():
                    if recording_id not in self._working and await self._wakes(recording_id, time.monotonic()):
                        self._working.add(recording_id)
                        self._resting.pop(recording_id, None)
                        group.create_task(self._follow(recording_id), name=recording_id)
                await asyncio.sleep(POLL_S)

    def _recordings(self) -> Iterator[str]:
        for folder in sorted(self._spool.iterdir()):
            if ID_PATTERN.fullmatch(folder.name) and folder.is_dir():
                yield folder.name

    async def _wakes(self, recording_id: str, now_s: float) -> bool:
        """There is something to do for this recording."""
        resting = self._resting.get(recording_id)
        if resting is None:
            return bool(journal_names(self._spool / recording_id))
        if now_s < resting.look_at_s:
            return False
        resting.look_at_s = now_s + IDLE_POLL_S
        if journal_names(self._spool / recording_id) != resting.names:
            return True
        if resting.complete and now_s >= resting.check_age_s:
            resting.check_age_s = now_s + RETENTION_CHECK_S
            await in_thread(self._threads, self._delete_if_old, recording_id)
        return False

    async def _follow(self, recording_id: str) -> None:
        work = RecordingWork(
            self._spool / recording_id, self._work / recording_id, self._delivery, self._settings, self._threads
        )
        try:
            await work.run()
            self._resting[recording_id] = _Resting(work.names, work.complete, time.monotonic())
        except Exception:
            log.exception("recording_work_failed", recording_id=recording_id)
            self._resting[recording_id] = _Resting(frozenset(), False, time.monotonic() + FAULT_PAUSE_S)
        finally:
            self._working.discard(recording_id)

    def _delete_if_old(self, recording_id: str) -> None:
        folder = self._spool / recording_id
        grown_s = max((path.stat().st_mtime for path in folder.iterdir()), default=0.0)
        if time.time() - grown_s > self._settings.keep_journal_days * DAY_S:
            shutil.rmtree(self._work / recording_id, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            self._resting.pop(recording_id, None)
            log.info("journals_deleted", recording_id=recording_id)
