"""What one transport sent, until its receiver reports it: transport-wide sequence numbers to times and sizes.

Kept per *run* of equal sized packets that left together, because that is how copies are sent. `note` is hot (once per
run and viewer), and so is `resolve`: a packet is never an object of its own here, and runs of one burst come out as
one. Numbers are 16 bits on the wire and extended inside. A packet counts as received once, whenever its report comes,
and as lost only if a report that arrived covered it: a report that got lost on its way says nothing about the packets.
"""

from bisect import bisect_left

import msgspec

from sfu.congestion.feedback import TICKS_PER_REFERENCE, TICKS_PER_S, TransportFeedback

MAX_RUNS = 4096
"""Runs kept. At 300 a second (ten participants' audio and video) that is more than 10 s without any report. Overflow:
the oldest are forgotten and counted; a report of them changes nothing any more."""

MAX_PACKETS = 1 << 15
"""Numbers kept: half of their space, beyond which a report could mean either of two packets. Overflow as above."""

MAX_AGE_S = 10.0
"""No report comes later: Chromium sends one every 50-250 ms, and a round trip of seconds is no conversation."""

SETTLE_S = 0.25
"""A packet that is reported as missing is waited for this long, counted in send times, before it counts as lost: it may
have been overtaken (jitter of 100 ms and a report every 100 ms)."""

BURST_S = 0.005
"""What was sent within this is one burst (draft-ietf-rmcat-gcc-02, 5.2)."""

_LEAST = -1 << 32
"""Packets of a run that sorts before every other with the same first number."""

_CHECK_EVERY = 256
"""Runs between two looks at the limits."""

Arrival = tuple[float, float, int, int, int, int, int]
"""Received packets of one burst, in one report: when its first and its last run were sent (monotonic seconds, ours),
the first and the last arrival (ticks of 250 us on the receiver's clock, extended), octets, packets, probe cluster (0:
none; runs of a cluster come one by one)."""

Run = tuple[int, int, int, float, int, int]
"""First number (extended), packets (negative once all of them have been received), octets, when sent, probe cluster,
octets of everything that was sent before."""


class Outcome(msgspec.Struct, frozen=True):
    """What one report made known."""

    arrivals: list[Arrival]
    """In the order of sending."""
    octets: int
    """Of these arrivals."""
    offered: int
    """Octets that had been sent, lost ones included, when the latest of them had left."""
    received: int
    """Packets whose fate became known: received, and"""
    lost: int
    """lost. Each packet counts once, at most `SETTLE_S` late."""
    gap: bool
    """A report before this one is missing: what it was about may have arrived all the same."""


class SentLog:
    """`note` when something leaves, `resolve` when a report comes."""

    __slots__ = (
        "_covered",
        "_got",
        "_missing",
        "_newest_sent",
        "_next",
        "_offered",
        "_received",
        "_reference",
        "_runs",
        "forgotten",
        "last_sent",
        "octets",
    )

    def __init__(self) -> None:
        self._next = 0
        self._runs: list[Run] = []
        """Ascending."""
        self._got: dict[int, int] = {}
        """First number of a run that was received in part -> bit per packet that was, and"""
        self._missing: dict[int, int] = {}
        """per packet that a report covered and did not have."""
        self._covered: int | None = None
        """Behind the last number that any report covered."""
        self._reference: int | None = None
        self._newest_sent = float("-inf")
        self._offered = 0
        self._received = 0
        """Packets that `_settle` has not told of yet, though they are gone."""
        self.octets = 0
        """Everything that was ever noted."""
        self.last_sent = float("-inf")
        self.forgotten = 0
        """Packets dropped by the limits before any report of them."""

    def note(self, count: int, octets: int, now: float, cluster: int = 0) -> int:
        """`count` packets of `octets` in total leave now. Returns the first of their numbers (16 bits), the others
        follow."""
        first = self._next
        self._next = first + count
        runs = self._runs
        runs.append((first, count, octets, now, cluster, self.octets))
        self.octets += octets
        self.last_sent = now
        if not len(runs) % _CHECK_EVERY:
            self._limit(now)
        return first & 0xFFFF

    @property
    def awaited(self) -> int:
        """Packets sent behind the last number that a report covered."""
        return self._next - (self._covered or 0)

    def least_delay_s(self, feedback: TransportFeedback) -> float:
        """How long the first or the last packet of a whole report took, whichever took less, on two clocks (seconds);
        infinite if one of them was never sent or is forgotten. Changes nothing that `resolve` finds."""
        offset, ticks = feedback.spans[0]
        newest = self._next - 1
        first = newest - ((newest - feedback.base - offset) & 0xFFFF)
        last = first + len(ticks) - 1
        runs = self._runs
        if not runs or first < runs[0][0] or last > newest:
            return float("inf")
        epoch = self._unwrap(feedback.reference) * TICKS_PER_REFERENCE
        return min(
            (epoch + ticks[0]) / TICKS_PER_S - runs[self._place(first)][3],
            (epoch + ticks[-1]) / TICKS_PER_S - runs[self._place(last)][3],
        )

    def resolve(self, feedback: TransportFeedback, now: float) -> Outcome:
        """Apply a report. Numbers that were never sent, or were forgotten, are ignored."""
        arrivals: list[Arrival] = []
        newest = self._next - 1
        base = newest - ((newest - feedback.base) & 0xFFFF)
        end = base + feedback.count
        if base < 0 or end > self._next:
            return Outcome(arrivals, 0, self._offered, 0, 0, False)
        covered = self._covered
        epoch = self._unwrap(feedback.reference) * TICKS_PER_REFERENCE
        missed = base
        octets = 0
        for offset, ticks in feedback.spans:
            number = base + offset
            if number > missed:
                self._miss(missed, number)
            octets += self._receive(number, ticks, epoch, feedback.ordered, arrivals)
            missed = number + len(ticks)
        if missed < end:
            self._miss(missed, end)
        if covered is None or end > covered:
            self._covered = end
        received, lost = self._settle(now)
        return Outcome(arrivals, octets, self._offered, received, lost, covered is not None and base > covered)

    def _unwrap(self, reference: int) -> int:
        """Reference times have 24 bits, 12 days; reports may come in any order."""
        if self._reference is None:
            self._reference = reference
        else:
            step = ((reference - self._reference + 0x800000) & 0xFFFFFF) - 0x800000
            reference = self._reference + step
            if step > 0:
                self._reference = reference
        return reference

    def _place(self, number: int) -> int:
        """Of the run with this number, or of the first."""
        return max(0, bisect_left(self._runs, (number + 1, _LEAST, 0, 0.0, 0, 0)) - 1)

    def _receive(self, number: int, ticks: list[int], epoch: int, ordered: bool, arrivals: list[Arrival]) -> int:
        """Packets from `number` on arrived. Adds to `arrivals`, returns the octets that are new."""
        runs, got = self._runs, self._got
        start, end = number, number + len(ticks)
        total = settled = front = 0
        newest, offered = float("-inf"), 0
        opened, last_sent, earliest, latest, octets, packets, cluster = 0.0, 0.0, 0, 0, 0, 0, -1
        for at in range(self._place(number), len(runs)):
            first, size, run_octets, sent, run_cluster, before = runs[at]
            if first >= end:
                break
            if number <= first and first + size <= end and size > 0 and first not in got:
                begins, ends = ticks[first - start], ticks[first + size - 1 - start]
                if not ordered:
                    times = ticks[first - start : first + size - start]
                    begins, ends = min(times), max(times)
                count = size
                if at == front:
                    # The oldest of all: nothing more to be known about it.
                    front += 1
                    settled += size
                else:
                    runs[at] = (first, -size, 0, sent, 0, 0)
                if self._missing:
                    self._missing.pop(first, None)
            else:
                times = self._receive_part(first, size, number, ticks)
                count = len(times)
                if not count:
                    continue
                run_octets = run_octets * count // size
                begins, ends = min(times), max(times)
            total += run_octets
            newest, offered = sent, before + run_octets
            if not run_cluster and not cluster and sent - opened <= BURST_S:
                last_sent = sent
                if begins < earliest:
                    earliest = begins
                if ends > latest:
                    latest = ends
                octets += run_octets
                packets += count
                continue
            if packets:
                arrivals.append((opened, last_sent, epoch + earliest, epoch + latest, octets, packets, cluster))
            opened = last_sent = sent
            earliest, latest, octets, packets, cluster = begins, ends, run_octets, count, run_cluster
        if packets:
            arrivals.append((opened, last_sent, epoch + earliest, epoch + latest, octets, packets, cluster))
        if newest > self._newest_sent:
            self._newest_sent, self._offered = newest, offered
        if front:
            del runs[:front]
            self._received += settled
        return total

    def _receive_part(self, first: int, size: int, number: int, ticks: list[int]) -> list[int]:
        """Of a run not all came, or not for the first time. Returns the arrivals that are new."""
        low = max(number, first)
        count = min(first + size, number + len(ticks)) - low
        if count <= 0:
            return []
        got, shift = self._got.get(first, 0), low - first
        self._got[first] = got | ((1 << count) - 1) << shift
        times = ticks[low - number : low - number + count]
        return [tick for place, tick in enumerate(times, shift) if not got >> place & 1] if got >> shift else times

    def _miss(self, number: int, end: int) -> None:
        """Numbers number..end-1 are covered by a report that does not have them."""
        runs = self._runs
        for place in range(self._place(number), len(runs)):
            first, size, _, _, _, _ = runs[place]
            if first >= end:
                return
            low = max(0, number - first)
            high = min(size, end - first)
            if high > low:
                self._missing[first] = self._missing.get(first, 0) | ((1 << (high - low)) - 1) << low

    def _settle(self, now: float) -> tuple[int, int]:
        """Drop what is old enough for its fate to be known; count it."""
        before = max(self._newest_sent - SETTLE_S, now - MAX_AGE_S)
        received, self._received = self._received, 0
        lost = settled = 0
        for first, size, _, sent, _, _ in self._runs:
            if sent >= before:
                break
            settled += 1
            if size < 0:
                received -= size
                continue
            got = self._got.pop(first, 0)
            received += got.bit_count()
            lost += (self._missing.pop(first, 0) & ~got).bit_count()
        del self._runs[:settled]
        return received, lost

    def _limit(self, now: float) -> None:
        runs = self._runs
        surplus = max(0, len(runs) - MAX_RUNS)
        while surplus < len(runs) and (
            runs[surplus][3] < now - MAX_AGE_S or self._next - runs[surplus][0] > MAX_PACKETS
        ):
            surplus += 1
        for first, size, _, _, _, _ in runs[:surplus]:
            known = self._got.pop(first, 0) | self._missing.pop(first, 0)
            self.forgotten += max(0, size - known.bit_count())
        del runs[:surplus]
