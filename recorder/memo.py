"""What is remembered of a segment that is in the store: one small JSON file in the work folder."""

import msgspec

from recorder.clock_facts import ClockFacts
from recorder.events import TakeOpened
from recorder.manifest import Redacted, Segment
from recorder.report import SegmentFigures

EVENTS_PREFIX = "events-"


class Delivered(msgspec.Struct):
    take_id: str
    segment: Segment
    delivered_s: float = 0.0
    """Unix time when it was verified in the store; 0: not noted, the file's own time counts."""
    take: TakeOpened | None = None
    figures: SegmentFigures | None = None
    """Of a server file; None: an earlier version made it."""
    clock: ClockFacts | None = None
    """Of a server file; None: an earlier version made it. `segment` has the session times of its own timeline."""


decode = msgspec.json.Decoder(Delivered).decode
decode_redacted = msgspec.json.Decoder(Redacted).decode


def redacted_memo(segment_id: str) -> str:
    """Name of the file that remembers a segment's `Redacted`."""
    return f"{segment_id}.redacted.json"
