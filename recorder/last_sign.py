"""When a node that died wrote into a recording's spool for the last time, whatever its wall clock did. Blocking."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from recorder.events import ClockNoted
from recorder.journal import SUFFIX, FileHeader, JournalEnd, Record, TrackRecord
from recorder.memo import EVENTS_PREFIX
from recorder.reader import JournalReader
from recorder.wall_clock import CLOCK_S

EARLY_NS = 500_000_000
LATE_NS = 5_000_000_000
"""How much later than CLOCK_S a note may be, on a machine that is overloaded, and how much younger than what it says
that the file is: clocks of files tick coarsely."""


def last_sign_ns(folder: Path) -> int | None:
    """Session time of the last write into a recording's folder; None: no journal of its events can be read.

    The files say when by the wall clock, the newest note of the clocks says where that is on the session clock. If both
    lie further apart than notes do, the wall clock was moved after that note: then all journals are read for the last
    arrival. Raises OSError.
    """
    noted = _last_note(folder)
    if noted is None:
        return None
    at_ns, wall_ns = noted
    passed_ns = max(path.stat().st_mtime_ns for path in folder.iterdir()) - wall_ns
    if -EARLY_NS <= passed_ns <= round(CLOCK_S * 1e9) + LATE_NS:
        return at_ns + max(0, passed_ns)
    return max([at_ns, *map(_last_arrival, folder.glob(f"*{SUFFIX}"))])


def _last_note(folder: Path) -> tuple[int, int] | None:
    """Session time and Unix time, by the newest journal of events that has a header."""
    for path in sorted(folder.glob(f"{EVENTS_PREFIX}*{SUFFIX}"), reverse=True):
        noted: tuple[int, int] | None = None
        for record in _records(path):
            if isinstance(record, FileHeader):
                noted = record.opened_monotonic_ns - record.recording.zero_monotonic_ns, record.opened_wall_ns
            elif isinstance(record, ClockNoted):
                noted = record.at_ns, record.wall_ns
        if noted is not None:
            return noted
    return None


def _last_arrival(path: Path) -> int:
    """Session time of the last record that came."""
    zero_ns = last_ns = 0
    for record in _records(path):
        if isinstance(record, FileHeader):
            zero_ns, last_ns = record.recording.zero_monotonic_ns, record.opened_monotonic_ns
        elif isinstance(record, TrackRecord) and not isinstance(record, JournalEnd):
            last_ns = max(last_ns, record.arrival_ns)
    return last_ns - zero_ns


def _records(path: Path) -> Iterator[Record]:
    """Of a journal that nobody writes any more."""
    reader = JournalReader(path)
    with contextlib.closing(reader):
        while records := reader.read():
            yield from records
