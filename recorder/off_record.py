"""Which files a range off the record concerns: the one rule for the recorder and the node. No I/O.

Times are int64 nanoseconds on the session clock.
"""

import hashlib
from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol, TypeVar

DRIFT_NS = 250_000_000
"""A file follows its sender's clock. When that stops or jumps by less, nothing is put right
(`recorder.timeline.LIMIT_NS`)."""
DRIFT = Fraction(500, 1_000_000)
"""How fast it may drift, which is not put right at all (`recorder.timeline.MAX_DRIFT_PPM`)."""
PACKET_NS = 120_000_000
"""The longest packet of sound (RFC 6716 2.1.4), and longer than what one frame of a camera is shown."""


class Range(Protocol):
    @property
    def start_ns(self) -> int: ...

    @property
    def stop_ns(self) -> int: ...


Marked = TypeVar("Marked", bound=Range)


def concerning(ranges: Iterable[Marked], start_ns: int, bound_ns: int, duration_ns: int | None) -> list[Marked]:
    """Those of `ranges` that concern a file; see `concerns`."""
    return [marked for marked in ranges if concerns(marked, start_ns, bound_ns, duration_ns)]


def concerns(marked: Range, start_ns: int, bound_ns: int, duration_ns: int | None) -> bool:
    """Whether a file may hold something of a range. `start_ns`, `bound_ns`: its first sample, and +- how well that is
    known; `duration_ns`: None while it still grows."""
    reach_ns = bound_ns + DRIFT_NS + PACKET_NS
    over_before = duration_ns is not None and start_ns + duration_ns * (1 + DRIFT) + reach_ns < marked.start_ns
    return not over_before and start_ns - reach_ns <= marked.stop_ns


def redacted_prefix(segment_id: str) -> str:
    """How the names of a segment's files without what is off the record begin."""
    return f"{segment_id}.redacted-"


def redacted_name(segment_id: str, off_record_ids: Iterable[str], extension: str) -> str:
    """Another name for every other set of ranges: a link that was given out for one never gives another."""
    digest = hashlib.sha256("\n".join(sorted(off_record_ids)).encode()).hexdigest()[:12]
    return f"{redacted_prefix(segment_id)}{digest}.{extension}"
