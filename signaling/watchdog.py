"""Looks twice a second at everything that puts running recordings at risk, and keeps their notices true; has the wall
clock noted in them now and then."""

import asyncio
import time
from collections.abc import Callable

import structlog

from recorder.wall_clock import CLOCK_S
from signaling.live import LiveRooms
from signaling.notices import GENERAL, Draft, NoticeCode, NoticeKey
from signaling.recorder_watch import RecorderWatch
from signaling.recordings import LiveRecording
from signaling.space_desk import SpaceDesk

log = structlog.get_logger()

LOOK_S = 0.5
CODES = frozenset(NoticeCode) - {NoticeCode.CAPTURE_STALLED}
"""Of the notices that are kept true here."""


class Watchdog:
    def __init__(
        self, rooms: LiveRooms, recorder: RecorderWatch, recorder_alarm: Callable[[], str], space: SpaceDesk
    ) -> None:
        self._rooms = rooms
        self._recorder = recorder
        self._recorder_alarm = recorder_alarm
        self._space = space
        self._clock_due_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="watchdog")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def look(self, now_s: float) -> None:
        """`now_s`: monotonic."""
        note_clock = now_s >= self._clock_due_s
        if note_clock:
            self._clock_due_s = now_s + CLOCK_S
        for room in self._rooms.live.values():
            if room.recording is not None:
                room.recording.notices.keep(CODES, self._present(room.recording, now_s))
                if note_clock:
                    room.recording.log.note_clock()

    def _present(self, recording: LiveRecording, now_s: float) -> dict[NoticeKey, Draft]:
        """What is wrong."""
        now_ns = recording.log.clock.now_ns()
        present = {}
        for finding in self._recorder.findings(recording.id, now_s):
            code = NoticeCode(finding.code)
            if finding.kind:
                draft = recording.draft(code, finding.participant_id, finding.kind, finding.since_ns)
            else:
                draft = Draft(GENERAL[code], finding.since_ns)
            present[NoticeKey(code, finding.take_id)] = draft
        away, low = NoticeCode.RECORDER_DOWN, NoticeCode.SPACE_LOW
        if self._recorder_alarm():
            present[NoticeKey(away)] = Draft(GENERAL[away], now_ns)
        if self._space.low:
            present[NoticeKey(low)] = Draft(GENERAL[low], now_ns)
        return present

    async def _run(self) -> None:
        while True:
            try:
                self.look(time.monotonic())
            except Exception:  # costs this look, and no other
                log.exception("watchdog_failed")
            await asyncio.sleep(LOOK_S)
