"""The load generator: everybody in one room, in one process, one connection to publish and one to subscribe each."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from time import monotonic, time_ns

from bench.load import Load
from bench.participant import Clocks, Join, Participant, Sealed, send
from bench.viewer import FEEDBACK_S

STALL_S = 2.0
"""What is missing after nothing came for this long counts as lost: a busy machine may hold up the node for a while."""
LOOK_S = 0.05
SETTLE_S = 0.5
"""Given to the node to take in the rest where nobody would notice it come."""
AHEAD_S = 0.05
"""Between the decision to begin and the first packet."""
SPIN_S = 0.0015
"""How long before a packet is due we stop sleeping where times matter: epoll sleeps whole milliseconds."""
TURNS = 10
"""Viewers answer in so many groups, one after the other: browsers do not all speak at the same moment."""


def batches(sealed: Sequence[Sealed]) -> Iterator[list[Sealed]]:
    """Packets of one stream that are due at the same moment and have the same size."""
    for _, group in groupby(sealed, lambda packet: (packet.due_s, packet.sender.ssrc, len(packet.datagram))):
        yield list(group)


class Generator:
    def __init__(self, *, lossy: bool = False) -> None:
        self.clocks = Clocks()
        self._lossy = lossy
        self._publishers: list[Participant] = []
        self._everybody: list[Participant] = []
        self._copies = 0
        self._answering: asyncio.Task[None] | None = None

    async def join(self, join: Join, load: Load, publishers: int, subscribers: int) -> None:
        """Each track gets `subscribers` subscribers: the other publishers, and as many as are missing then. Returns
        when everybody is connected."""
        self._copies = subscribers
        for number in range(max(publishers, subscribers + 1)):
            sends = load.tracks if number < publishers else ()
            participant = Participant(self.clocks, number, lossy=self._lossy)
            await participant.join(join, sends)
            self._everybody.append(participant)
            if sends:
                self._publishers.append(participant)
        for participant in self._everybody:
            others = publishers - (participant in self._publishers)
            if others:
                await participant.takes(others * len(load.tracks))
        self._answering = asyncio.create_task(self._answer())

    @property
    def received(self) -> int:
        return sum(participant.received for participant in self._everybody)

    @property
    def repaired(self) -> int:
        """Packets that came to viewers once more because they asked."""
        return sum(participant.repaired for participant in self._everybody)

    @property
    def undecryptable(self) -> int:
        return sum(participant.undecryptable for participant in self._everybody)

    def seal(self, load: Load) -> list[Sealed]:
        """The load of all publishers, spread over a frame's time, in order."""
        self.clocks.expect(len(load.sends) * len(self._publishers))
        sealed: list[Sealed] = []
        for place, publisher in enumerate(self._publishers):
            sealed += publisher.seal(load, place / len(self._publishers) / 30, len(sealed))
        return sorted(sealed)

    async def send(self, sealed: Sequence[Sealed], *, precise: bool) -> float:
        """Send it all in time and wait until every copy came through. How late the latest packet was, seconds."""
        expected = self.received + len(sealed) * self._copies
        begin = monotonic() + AHEAD_S
        sent_at = self.clocks.sent_at
        latest = 0.0
        for batch in batches(sealed):
            due_s = batch[0].due_s
            wait_s = begin + due_s - monotonic()
            while wait_s > 0:
                await asyncio.sleep(max(0.0, wait_s - SPIN_S) if precise else wait_s)
                wait_s = begin + due_s - monotonic()
            latest = max(latest, -wait_s)
            now = time_ns()
            for packet in batch:
                sent_at[packet.number] = now
            send(batch)
            batch[0].sender.last = (batch[-1].timestamp, monotonic())
        if not self._copies:
            await asyncio.sleep(SETTLE_S)
        received, since = self.received, monotonic()
        while received < expected and monotonic() - since < STALL_S:
            await asyncio.sleep(LOOK_S)
            if self.received != received:
                received, since = self.received, monotonic()
        return latest

    async def close(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            try:
                await self._answering
            except asyncio.CancelledError:
                pass
        for participant in self._everybody:
            await participant.peer.close()

    async def _answer(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(FEEDBACK_S / TURNS)
            turn = (turn + 1) % TURNS
            for participant in self._everybody[turn::TURNS]:
                participant.answer()
