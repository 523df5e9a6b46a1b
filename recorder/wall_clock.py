"""The wall clock beside the session clock, as a recording's journals note it: boots, and steps. No I/O.

The session clock is the monotonic clock of the machine, which neither NTP nor anybody's hand moves by a step. What the
wall clock said is noted every CLOCK_S, so that a step can be seen and times of files can be put right.
"""

from itertools import pairwise

from recorder.journal import FileHeader
from recorder.manifest import Boot, Clock, WallStep

CLOCK_S = 10.0
"""Between two notes."""
STEP_NS = 20_000_000
"""Less is slewing: the kernel's 500 ppm make 5 ms in CLOCK_S."""
MAX_NOTES = 100_000
"""Eleven days. Later ones are not looked at."""
MAX_STEPS = 1_000


class WallClock:
    def __init__(self) -> None:
        self._zero_wall_ns = 0
        self._boots: dict[str, int] = {}
        """From when on the session clock, by boot id."""
        self._notes: set[tuple[str, int, int]] = set()
        """Boot, session time, Unix time."""

    def opened(self, header: FileHeader) -> None:
        """The journal of events with this header was begun."""
        recording = header.recording
        at_ns = header.opened_monotonic_ns - recording.zero_monotonic_ns
        self._zero_wall_ns = recording.zero_wall_ns
        self._boots[recording.boot_id] = min(at_ns, self._boots.get(recording.boot_id, at_ns))
        self.noted(recording.boot_id, at_ns, header.opened_wall_ns)

    def noted(self, boot_id: str, at_ns: int, wall_ns: int) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes.add((boot_id, at_ns, wall_ns))

    def clock(self) -> Clock:
        """As the manifest has it."""
        steps = [
            WallStep(at_ns, step_ns)
            for (boot, before_ns, wall_before_ns), (same, at_ns, wall_ns) in pairwise(sorted(self._notes))
            if boot == same and abs(step_ns := wall_ns - at_ns - (wall_before_ns - before_ns)) >= STEP_NS
        ]
        return Clock(
            zero_wall_ns=self._zero_wall_ns,
            boots=[
                Boot(boot_id, from_ns) for boot_id, from_ns in sorted(self._boots.items(), key=lambda one: one[::-1])
            ],
            wall_steps=sorted(steps, key=lambda step: step.at_ns)[:MAX_STEPS],
        )
