"""What one journal says about its sender's clocks, noted while its file is made. No I/O; bounded.

Of each BLOCK_NS the sender report that came quickest is kept, and of the frames the least delay. `recorder.track_map`
makes session times of it, together with what the other journals of the same connection say.
"""

import sys
from bisect import bisect_right

import msgspec

from recorder.frames import MediaFrame

BLOCK_NS = 5_000_000_000
MAX_BLOCKS = 20_000
"""Of reports, of frames and of round trips each: 28 hours. Later ones are not noted."""
MAX_EXCESS_NS = 1 << 62
"""What a sum of any times is cut to: JSON has 64 bits."""
HELD_NS = 10_000_000_000
"""That a piece began is known seconds later: a packet may be waited for, then a second of frames is looked at."""
MAX_HELD = 1_000
"""Reports that wait for it; a browser sends one or two a second."""
FAR_NS = 60_000_000_000
"""A report that says that its RTP time is further from its arrival means nothing."""


class ReportBlock(msgspec.Struct, frozen=True, array_like=True):
    """The sender reports (RFC 3550 6.4.1) of BLOCK_NS. The first three fields are of the one that came quickest."""

    file_ns: int
    """Where its RTP time is in the file; may lie outside of it."""
    ntp_ns: int
    """Since 1900."""
    arrival_ns: int
    """On the session clock."""
    reports: int
    excess_ns: int
    """How much later the others came, added up."""


class FrameBlock(msgspec.Struct, frozen=True, array_like=True):
    """The frame of BLOCK_NS that came quickest."""

    file_ns: int
    arrival_ns: int
    """On the session clock."""
    frames: int
    excess_ns: int
    """How much later the others came, added up."""


class RoundTripNote(msgspec.Struct, frozen=True, array_like=True):
    at_ns: int
    round_trip_ns: int
    """The least, or a mean, of the minute before."""


class Piece(msgspec.Struct):
    """A part of the file in which the sender's RTP clock ran on."""

    begin_ns: int
    """In the file."""
    end_ns: int
    reports: list[ReportBlock] = []
    frames: list[FrameBlock] = []


class ClockFacts(msgspec.Struct):
    connection: str
    """As in `StreamInfo`."""
    delay_ns: int
    """What the file shows at a time was captured so much earlier than its RTP time says (Opus pre-skip)."""
    pieces: list[Piece]
    round_trips: list[RoundTripNote]


class _Quickest:
    """Reports or frames of one block."""

    __slots__ = ("arrival_ns", "count", "delay_ns", "excess_ns", "ntp_ns", "ticks")

    def __init__(self) -> None:
        self.count = self.excess_ns = self.delay_ns = self.arrival_ns = self.ntp_ns = self.ticks = 0

    def note(self, delay_ns: int, arrival_ns: int, ticks: int, ntp_ns: int) -> None:
        if not self.count or delay_ns < self.delay_ns:
            self.excess_ns += self.count * (self.delay_ns - delay_ns)
            self.delay_ns, self.arrival_ns, self.ticks, self.ntp_ns = delay_ns, arrival_ns, ticks, ntp_ns
        else:
            self.excess_ns += delay_ns - self.delay_ns
        self.count += 1

    @property
    def sum_ns(self) -> int:
        return min(self.excess_ns, MAX_EXCESS_NS)


Blocks = dict[tuple[int, int], _Quickest]
"""By number of the piece, and time."""


class ClockNotes:
    """Told in the order of the journal. Arrivals are on the journal's clock."""

    def __init__(self, clock_rate_hz: int, zero_ns: int) -> None:
        """`zero_ns`: the session clock's zero on the journal's clock."""
        self._rate = clock_rate_hz
        self._zero_ns = zero_ns
        self._begun: list[tuple[int, int]] = []
        """Of each piece: arrival of its first frame, and session ticks - RTP ticks in it."""
        self._spans: list[tuple[int, int]] = []
        """Of each piece in which a frame was placed, first and last session tick."""
        self._held: list[tuple[int, int, int]] = []
        """Reports whose piece may not have begun yet: arrival, NTP time, RTP time."""
        self._reports: Blocks = {}
        self._frames: Blocks = {}
        self._round_trips: list[RoundTripNote] = []

    def began(self, arrival_ns: int, offset_ticks: int) -> None:
        """From the frame with this arrival on, session ticks = unwrapped RTP timestamp + `offset_ticks`."""
        self._begun.append((arrival_ns, offset_ticks))

    def reported(self, arrival_ns: int, ntp_timestamp: int, unwrapped: int) -> None:
        """`unwrapped`: the RTP timestamp."""
        self._held.append((arrival_ns, ntp_timestamp * 1_000_000_000 >> 32, unwrapped))
        old = next((n for n, held in enumerate(self._held) if held[0] > arrival_ns - HELD_NS), len(self._held))
        self._sort(max(old, len(self._held) - MAX_HELD))

    def placed(self, frame: MediaFrame, position: int) -> None:
        """In the piece that was begun last, at this session tick."""
        end = position + frame.duration_ticks
        if len(self._spans) < len(self._begun):
            self._spans += [(position, position)] * (len(self._begun) - len(self._spans))
        self._spans[-1] = (self._spans[-1][0], end)
        if frame.on_time:
            delay_ns = frame.arrival_ns - self._zero_ns - self._to_ns(position)
            self._note(self._frames, len(self._begun) - 1, frame.arrival_ns, delay_ns, position, 0)

    def round_trip(self, at_ns: int, round_trip_ns: int) -> None:
        if round_trip_ns and len(self._round_trips) < MAX_BLOCKS:
            self._round_trips.append(RoundTripNote(at_ns - self._zero_ns, round_trip_ns))

    def facts(self, begin_ticks: int, connection: str, delay_ns: int) -> ClockFacts:
        """`begin_ticks`: session time of the file's beginning. The rest as in ClockFacts."""
        self._sort(len(self._held))
        pieces = [Piece(self._to_ns(first - begin_ticks), self._to_ns(end - begin_ticks)) for first, end in self._spans]
        for (number, _), block in sorted(self._reports.items()):
            if number < len(pieces):
                position_ns = self._to_ns(block.ticks + self._begun[number][1])
                arrival_ns = block.arrival_ns - self._zero_ns
                if abs(position_ns - arrival_ns) <= FAR_NS:
                    file_ns = position_ns - self._to_ns(begin_ticks)
                    told = ReportBlock(file_ns, block.ntp_ns, arrival_ns, block.count, block.sum_ns)
                    pieces[number].reports.append(told)
        for (number, _), block in sorted(self._frames.items()):
            file_ns = self._to_ns(block.ticks - begin_ticks)
            told_ns = block.arrival_ns - self._zero_ns
            pieces[number].frames.append(FrameBlock(file_ns, told_ns, block.count, block.sum_ns))
        return ClockFacts(connection, delay_ns, pieces, self._round_trips)

    def _sort(self, count: int) -> None:
        """Put so many of the held reports into the pieces in which they came."""
        for arrival_ns, ntp_ns, unwrapped in self._held[:count]:
            number = max(0, bisect_right(self._begun, (arrival_ns, sys.maxsize)) - 1)
            self._note(self._reports, number, arrival_ns, arrival_ns - ntp_ns, unwrapped, ntp_ns)
        del self._held[:count]

    def _note(self, blocks: Blocks, number: int, arrival_ns: int, delay_ns: int, ticks: int, ntp_ns: int) -> None:
        key = (number, arrival_ns // BLOCK_NS)
        block = blocks.get(key)
        if block is None:
            if len(blocks) >= MAX_BLOCKS:
                return
            block = blocks[key] = _Quickest()
        block.note(delay_ns, arrival_ns, ticks, ntp_ns)

    def _to_ns(self, ticks: int) -> int:
        return ticks * 1_000_000_000 // self._rate
