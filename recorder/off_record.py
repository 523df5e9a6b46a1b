"""Which files a range off the record concerns: the one rule for the recorder and the node. No I/O.

Times are int64 nanoseconds on the session clock.
"""

from typing import Protocol

DRIFT_NS = 250_000_000
"""A file follows its sender's clock, which may have run apart from the session clock by so much before it is put right
(`recorder.timeline.LIMIT_NS`)."""
PACKET_NS = 120_000_000
"""The longest packet of sound (RFC 6716 2.1.4), and longer than what one frame of a camera is shown."""


class Range(Protocol):
    @property
    def start_ns(self) -> int: ...

    @property
    def stop_ns(self) -> int: ...


def concerns(marked: Range, start_ns: int, bound_ns: int, duration_ns: int | None) -> bool:
    """Whether a file may hold something of a range. `start_ns`, `bound_ns`: its first sample, and +- how well that is
    known; `duration_ns`: None while it still grows."""
    reach_ns = bound_ns + DRIFT_NS + PACKET_NS
    over_before = duration_ns is not None and start_ns + duration_ns + reach_ns < marked.start_ns
    return not over_before and start_ns - reach_ns <= marked.stop_ns
