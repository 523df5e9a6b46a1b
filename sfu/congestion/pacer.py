"""Paces what goes to one viewer: a key frame leaves over some time, not at once. A core in given time.

What a path is thought to take is spent in advance: a run leaves at once while all that left is paid for within
`BURST_S`, so ordinary frames never wait and cost one comparison (`admit`). A larger one is held in pieces, and with it
all pictures that come behind it, so that their order is kept. Nothing is dropped: what has waited for WAIT_S leaves,
and everything if the queue grows beyond its limits. Sound and repairs do not ask: what they take while something is
held is paid for first (`passed`).

Held is what is neither numbered nor encrypted yet: a transport-wide sequence number stands for the time at which a
packet really leaves.
"""

from collections import deque
from typing import Generic, TypeVar

FACTOR = 1.25
"""Of the target. libwebrtc has 2.5, for a sender whose encoder keeps key frames small. Of a key frame of 60 kB on a
path of 500 kbit/s that leaves 36 kB standing in the path's queue: more than small routers hold, and sound stands
behind it for 0.6 s. With 1.25 it is 12 kB. A viewer does not get the frame later for it where the target is right: the
path takes longer than we do."""

FLOW_FACTOR, FLOW_SHARE = 1.1, 1 / 40
"""Of what flows on the mean of 2 s (`pace` is called every 50 ms): a flow that is more than the target is ended by who
divides it, not stowed here."""

BURST_S = 0.06
"""At the pacing rate: an ordinary frame of a camera with all that the path takes is 0.027 s, and may be twice that."""

MIN_BURST_BYTES = 3000
"""But two packets always, on the slowest path too."""

PIECE_S = 0.005
"""What is held leaves in pieces of so much, as libwebrtc's pacer sends, and MIN_BURST_BYTES at least: system calls."""

WAIT_S = 1.0
"""The rate grows beyond the pacing rate so that nothing waits for longer; libwebrtc's 2 s are for one encoder that
makes less when the queue is long."""

MAX_DEBT_S = 0.5
"""What did not ask (`passed`) holds pictures back for no longer than this."""

MAX_PIECES, MAX_BYTES = 2048, 1024 * 1024
"""Of the queue; with packets of 1,200 bytes the second is reached first, 1 s of 8 Mbit/s. Overflow: everything leaves
at once, counted."""

Piece = TypeVar("Piece")


class Pacer(Generic[Piece]):
    __slots__ = (
        "_burst_s",
        "_flowing_bps",
        "_free",
        "_held_bytes",
        "_held_per_byte_s",
        "_open_s",
        "_per_byte_s",
        "_queue",
        "held",
        "overflows",
        "paces",
        "piece_bytes",
    )

    def __init__(self) -> None:
        """Nothing waits before `pace` is called."""
        self.paces = False
        """`admit` has to be asked: the path has shown a limit, or something is held."""
        self._per_byte_s = self._held_per_byte_s = 0.0
        """At the pacing rate, and at the rate at which what is held leaves."""
        self._burst_s = self._open_s = 0.0
        """`_open_s`: the same while nothing is held, else less than nothing."""
        self._flowing_bps = 0.0
        self._free = 0.0
        """When what left will have been paid for."""
        self._queue: deque[tuple[Piece, int, float]] = deque()
        """With size, and when it leaves at the latest."""
        self._held_bytes = 0
        self.piece_bytes = MIN_BURST_BYTES
        """A piece that is held has no more, unless it is one packet."""
        self.held = 0
        """Pieces that ever were."""
        self.overflows = 0

    def pace(self, target_bps: float | None, flowing_bps: float = 0.0, ticks: int = 1) -> None:
        """Every 50 ms, or after so many times as long while it paces nothing: what the path is thought to take (None:
        it has shown no limit, and nothing waits), and what there is to send."""
        self._flowing_bps += ticks * FLOW_SHARE * (flowing_bps - self._flowing_bps)
        if target_bps is None:
            self._per_byte_s = self._burst_s = 0.0
            self._free = 0.0
        else:
            bytes_per_s = max(FACTOR * target_bps, FLOW_FACTOR * self._flowing_bps) / 8
            self._per_byte_s = 1 / bytes_per_s
            self._burst_s = max(BURST_S, MIN_BURST_BYTES / bytes_per_s)
            self.piece_bytes = max(MIN_BURST_BYTES, int(PIECE_S * bytes_per_s))
        if not self._queue:
            self._open_s = self._burst_s
            self.paces = target_bps is not None
        self._keep_time(self._per_byte_s)

    def admit(self, size_bytes: int, now: float) -> bool:
        """Whether a run leaves now; otherwise it is to be held. Hot; not needed while it `paces` nothing."""
        free = self._free
        if free < now:
            free = now
        free += size_bytes * self._per_byte_s
        if free - now > self._open_s:
            return False
        self._free = free
        return True

    def passed(self, size_bytes: int, now: float) -> None:
        """Something left without asking."""
        free = self._free
        if free < now:
            free = now
        free += size_bytes * self._per_byte_s
        self._free = free if free - now < MAX_DEBT_S else now + MAX_DEBT_S

    def hold(self, piece: Piece, size_bytes: int, now: float) -> None:
        """Behind all that is held. To be followed by `take`."""
        self._queue.append((piece, size_bytes, now + WAIT_S))
        self._held_bytes += size_bytes
        self.held += 1
        self._open_s = -1.0
        self.paces = True
        self._keep_time(self._held_per_byte_s)

    def take(self, now: float) -> list[tuple[Piece, int]]:
        """What leaves now of what is held, in order, with its sizes. To be called at `due`."""
        queue = self._queue
        leaving: list[tuple[Piece, int]] = []
        all_of_it = len(queue) > MAX_PIECES or self._held_bytes > MAX_BYTES
        self.overflows += all_of_it
        while queue and (all_of_it or self._due() <= now):
            piece, size_bytes, _ = queue.popleft()
            self._held_bytes -= size_bytes
            leaving.append((piece, size_bytes))
            self._free = min(max(self._free, now) + size_bytes * self._held_per_byte_s, now + self._burst_s)
        if not queue:
            self._open_s = self._burst_s
            self._held_per_byte_s = self._per_byte_s
        return leaving

    @property
    def due(self) -> float | None:
        """When the next of what is held leaves; None: nothing is held."""
        return self._due() if self._queue else None

    def clear(self) -> None:
        """There is nobody any more to send it to."""
        self._queue.clear()
        self._held_bytes = 0
        self._open_s = self._burst_s
        self._held_per_byte_s = self._per_byte_s

    def _due(self) -> float:
        _, size_bytes, latest = self._queue[0]
        return min(self._free + min(size_bytes * self._held_per_byte_s - self._burst_s, 0.0), latest)

    def _keep_time(self, per_byte_s: float) -> None:
        """What is held leaves at this rate, or as much faster as it has to be gone within WAIT_S."""
        self._held_per_byte_s = min(per_byte_s, WAIT_S / self._held_bytes) if self._held_bytes else per_byte_s
