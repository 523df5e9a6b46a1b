"""Packets of one stream into sequence order, by journal time alone.

Behind a missing packet everything waits until the packet comes (repaired ones come late) or until the journal's own
clock, the latest arrival in it, has moved on by `gap_wait_ns` since something behind the gap arrived. Nothing is given
out twice. The very first packets wait `START_WAIT_NS`, so one that was overtaken at the start is not lost.
"""

import heapq
from collections import OrderedDict, deque
from typing import NamedTuple

from recorder.journal import JournalPacket

START_WAIT_NS = 500_000_000
"""A repair takes a NACK (50 ms) and a round trip, a few times over; longer at the start would only delay the file."""
MAX_HELD_PACKETS = 8_192
"""Behind gaps: 3 s of 30 Mbit/s. Beyond it the oldest gap is given up early."""
FAR_PACKETS = 4_096
"""A packet this far ahead of a stream that goes on without it is a stray."""
REMEMBERED_GAPS = 64
"""To tell a late packet from a duplicate; of older gaps it is called a duplicate."""


class OrderedPacket(NamedTuple):
    packet: JournalPacket
    on_time: bool
    """No later packet had arrived before it: its arrival time says something about its capture time."""


class Missing(NamedTuple):
    """These packets never came, or too late."""

    packets: int


Ordered = OrderedPacket | Missing


class Reorder:
    def __init__(self, gap_wait_ns: int) -> None:
        self.duplicate = 0
        self.late = 0
        """Came after their place was given up."""
        self.stray = 0
        self._gap_wait_ns = gap_wait_ns
        self._now_ns: int | None = None
        self._next: int | None = None
        self._highest = -1
        self._last_given_ns = 0
        self._held: OrderedDict[int, OrderedPacket] = OrderedDict()
        """By sequence number, in the order of arrival."""
        self._order: list[int] = []
        """Heap of the held sequence numbers."""
        self._given_up: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_GAPS)

    def push(self, packet: JournalPacket) -> list[Ordered]:
        """Take a packet; returns what is in order now."""
        self._advance(packet.arrival_ns)
        sequence = packet.sequence
        if sequence in self._held:
            self.duplicate += 1
        elif self._next is not None and sequence < self._next:
            if any(first <= sequence < end for first, end in self._given_up):
                self.late += 1
            else:
                self.duplicate += 1
        else:
            ordered = OrderedPacket(packet, sequence > self._highest)
            self._highest = max(self._highest, sequence)
            if sequence == self._next and not self._held:
                self._next += 1
                self._last_given_ns = packet.arrival_ns
                return [ordered]
            self._held[sequence] = ordered
            heapq.heappush(self._order, sequence)
        return self._drain(final=False)

    def advance(self, now_ns: int) -> list[Ordered]:
        """The journal's clock moved without a packet."""
        self._advance(now_ns)
        return self._drain(final=False)

    def flush(self) -> list[Ordered]:
        """Nothing will come: give out everything."""
        return self._drain(final=True)

    def _advance(self, now_ns: int) -> None:
        if self._now_ns is None or now_ns > self._now_ns:
            self._now_ns = now_ns

    def _drain(self, final: bool) -> list[Ordered]:
        out: list[Ordered] = []
        while self._held:
            lowest = self._order[0]
            if self._next is None:
                if not (final or self._waited(START_WAIT_NS)):
                    break
                self._next = lowest
                self._given_up.append((0, lowest))
            if lowest != self._next:
                if not (final or len(self._held) > MAX_HELD_PACKETS or self._waited(self._gap_wait_ns)):
                    break
                if lowest - self._next >= FAR_PACKETS and self._held[lowest].packet.arrival_ns < self._last_given_ns:
                    self._take(lowest)
                    self.stray += 1
                    continue
                out.append(Missing(lowest - self._next))
                self._given_up.append((self._next, lowest))
                self._next = lowest
            ordered = self._take(lowest)
            self._next = lowest + 1
            self._last_given_ns = ordered.packet.arrival_ns
            out.append(ordered)
        return out

    def _waited(self, wait_ns: int) -> bool:
        """The packet that showed the gap is the oldest arrival of the held: all of them are behind it."""
        oldest = next(iter(self._held.values()))
        return self._now_ns is not None and self._now_ns - oldest.packet.arrival_ns >= wait_ns

    def _take(self, sequence: int) -> OrderedPacket:
        """The lowest."""
        heapq.heappop(self._order)
        return self._held.pop(sequence)
