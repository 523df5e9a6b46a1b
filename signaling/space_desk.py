"""What rooms and operators are told of the space for recordings, and what is done about it.

Guarantees: without space to spare no recording begins (Problem `spool_full`); on a full disk every running one is ended
as by its host, with the reason in its journal, and the call goes on. When there is space again everybody is told, and a
host can begin a new recording; none begins by itself: nobody is recorded whom nobody chose to record.
"""

from collections import Counter

from recorder.space import SpaceState
from recorder.space_watch import SpaceReport
from signaling.live import LiveRooms
from signaling.messages import RecordingSpace
from signaling.problems import Problem

_ALARMS = {
    SpaceState.LOW: "little space for recordings is left: new ones are refused",
    SpaceState.FULL: "no space for recordings is left: running ones were ended, new ones are refused",
}


class SpaceDesk:
    def __init__(self, rooms: LiveRooms, counters: Counter[str]) -> None:
        self.report = SpaceReport(SpaceState.OK, 0, 0)
        """The newest."""
        self._rooms = rooms
        self._counters = counters

    @property
    def low(self) -> bool:
        """Running recordings go on, but may have to be ended soon."""
        return self.report.state is SpaceState.LOW

    @property
    def alarm(self) -> str:
        """For operators; empty: there is space."""
        alarm = _ALARMS.get(self.report.state, "")
        return alarm and f"{alarm} ({self.report.free_bytes >> 20} MiB free, {self.report.used_bytes >> 20} MiB used)"

    def seen(self, report: SpaceReport) -> None:
        """Once a second."""
        before, self.report = self.report, report
        if report.state is not before.state:
            for room in self._rooms.live.values():
                room.broadcast(RecordingSpace(state=report.state))
        if report.state is SpaceState.FULL:
            # With every look: a recording that was being started when the disk became full is found by the next.
            self._end_recordings()

    def require(self) -> None:
        """Raises Problem `spool_full` unless a recording may begin."""
        if self.report.state is not SpaceState.OK:
            raise Problem("spool_full", "Whoever runs the studio has to make space on its disk; then try again.")

    def _end_recordings(self) -> None:
        for room in list(self._rooms.live.values()):
            if room.recording is not None:
                self._counters["recordings_ended_by_full_disk"] += 1
                room.stop_recording("disk")
                room.close_if_empty()
