"""What a page says about itself: a summary of its getStats, and which errors it met. A core in given time.

Guarantees: a report has a bounded size and no free text; of each participant the newest one is kept; more than one
report in REPORT_S on average, or BURST at once, are not taken. Nothing is decided by it: a page may lie.
"""

import enum
from collections import Counter
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sfu.interfaces import TrackKind
from signaling.limits import TokenBucket

REPORT_S = 5.0
"""Pages report every 10 s, and an error sooner."""

BURST = 4
"""Errors come together."""

MAX_SENT = 8
"""Tracks of one page in a report."""

MAX_ERRORS = 1_000
"""Of one id in a report."""

Count = Annotated[int, Meta(ge=0, le=1 << 40)]
Bps = Annotated[int, Meta(ge=0, le=10_000_000_000)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Lines = Annotated[int, Meta(ge=0, le=16_384)]
PerSecond = Annotated[float, Meta(ge=0, le=1_000)]


class PageError(enum.StrEnum):
    """What can go wrong in a page. The values are part of the protocol."""

    SCRIPT = "script"
    """An exception that nothing caught."""
    CONNECTION_FAILED = "connection_failed"
    """A peer connection came to the state `failed`."""
    REFUSED = "refused"
    """The server refused a message or told of a limit."""
    DEVICE_LOST = "device_lost"
    """A camera or microphone was unplugged."""
    CAPTURE = "capture"
    """The local copy broke off or could not begin."""


class SentFigures(msgspec.Struct, kw_only=True):
    """What the page sends of one kind; several layers together, size and reason of the largest."""

    kind: TrackKind
    bitrate_bps: Bps
    width: Lines = 0
    height: Lines = 0
    fps: PerSecond = 0
    limited_by: Literal["none", "cpu", "bandwidth", "other"] = "none"
    """Why the encoder makes less than it could (W3C webrtc-stats, qualityLimitationReason)."""
    lost: Share = 0
    """As the server reported to the page."""


class ReceivedFigures(msgspec.Struct, kw_only=True):
    """Everything that the page receives, since its report before."""

    tracks: Annotated[int, Meta(ge=0, le=256)]
    bitrate_bps: Bps
    packets: Count
    lost: Count
    """Packets that never came, after repair."""
    freezes: Count
    frozen_ms: Milliseconds
    frames_dropped: Count
    concealed: Share
    """Of the sound that was played: made up because it had not come."""
    jitter_buffer_ms: Milliseconds
    """How long what was played had waited, on average."""


class PathFigures(msgspec.Struct, kw_only=True):
    """The selected pair of one peer connection, seen from the page."""

    candidate: Literal["host", "srflx", "prflx", "relay"]
    protocol: Literal["udp", "tcp", "tls"]
    """To the server or, with `relay`, to the relay."""
    rtt_ms: Milliseconds
    available_bps: Bps = 0
    """What the page estimates that it can send; 0: not known."""


class PageFigures(msgspec.Struct, kw_only=True):
    sent: Annotated[list[SentFigures], Meta(max_length=MAX_SENT)] = []
    received: ReceivedFigures | None = None
    publish: PathFigures | None = None
    subscribe: PathFigures | None = None


Errors = dict[PageError, Annotated[int, Meta(ge=1, le=MAX_ERRORS)]]
"""How often each happened since the report before."""


class PageReports:
    """Of one participant."""

    def __init__(self, now: float) -> None:
        self.newest: PageFigures | None = None
        self.at = 0.0
        """When it came."""
        self.errors: Counter[PageError] = Counter()
        """Since the participant came."""
        self._bucket = TokenBucket(1 / REPORT_S, BURST, now)

    def take(self, figures: PageFigures, errors: Errors, now: float) -> bool:
        """False: they come too fast, this one was not taken."""
        if not self._bucket.take(now):
            return False
        self.newest, self.at = figures, now
        self.errors.update(errors)
        return True
