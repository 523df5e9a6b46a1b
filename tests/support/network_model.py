"""A network in virtual time: links with capacity, queues, delay, loss, jitter, reordering and duplication, by seed.

No wall clock and no I/O: `Network` is a heap of events, `Link` takes datagrams and hands them on later. What a link
does is a `Conditions`, and a plan of them if it changes. The same seed, the same datagrams at the same times: the same
result.

    network = Network()
    down = Link(network, viewer.receive, Conditions(capacity_bps=1e6, delay_s=0.02), seed=1)
    up = Link(network, server.receive, Conditions(delay_s=0.02), seed=2)
    down.plan((10.0, Conditions(capacity_bps=300e3, delay_s=0.02)), (40.0, Conditions(delay_s=0.02)))
    network.every(0.02, server.send_something)
    network.run(60.0)
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

UNLIMITED = float("inf")


class Network:
    """Virtual time. `now` begins at `start`, not at 0, so that nothing relies on it."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = self.start = start
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Absolute; what is past happens next. Equal times in the order in which they were asked for."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.at(self.now + seconds, call)

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """From now on, for ever; on a grid that no rounding moves."""
        begin = self.now

        def run(n: int) -> None:
            call()
            self.at(begin + (n + 1) * seconds, lambda: run(n + 1))

        self.at(begin, lambda: run(0))

    @property
    def elapsed_s(self) -> float:
        return self.now - self.start

    def run(self, until_s: float) -> None:
        """Until `until_s` after the start; what was due by then has happened."""
        end = self.start + until_s
        while self._events and self._events[0][0] <= end:
            self.now, _, call = heapq.heappop(self._events)
            call()
        self.now = end


@dataclass(frozen=True, slots=True)
class GilbertElliott:
    """Loss in bursts: a chain of two states, moved before each datagram. Mean bad time: 1 / `recover` datagrams."""

    worsen: float
    """Probability of the step from good to bad."""
    recover: float
    loss_bad: float = 1.0
    loss_good: float = 0.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a link does to datagrams. The order: lost, queued and sent at the capacity, delayed, duplicated."""

    capacity_bps: float = UNLIMITED
    """0: nothing passes, and the queue fills (if it is given in bytes)."""
    queue_s: float = 0.3
    """Drop-tail: what would wait for longer than this at the present capacity is dropped,"""
    queue_bytes: int | None = None
    """unless the queue is given in bytes."""
    delay_s: float = 0.01
    loss: float | GilbertElliott = 0.0
    jitter_s: float = 0.0
    """Each datagram comes up to this much later, evenly distributed,"""
    reordering: bool = False
    """and may overtake others by that; otherwise it waits for the one before."""
    overtaken: float = 0.0
    """Share of datagrams that are held back by `overtaken_s` and so overtaken."""
    overtaken_s: float = 0.02
    duplicated: float = 0.0
    """Share of datagrams that come twice."""


@dataclass(slots=True)
class LinkCounters:
    sent: int = 0
    lost: int = 0
    """By chance,"""
    overflowed: int = 0
    """because the queue was full."""
    delivered: int = 0
    """Duplicates included."""
    duplicated: int = 0
    octets: int = 0
    """Delivered."""


@dataclass(slots=True)
class _Queue:
    waiting: deque[bytes] = field(default_factory=deque)
    octets: int = 0
    busy: bool = False


class Link:
    """One direction. `deliver` is called with each datagram when it comes out."""

    def __init__(
        self,
        network: Network,
        deliver: Callable[[bytes], None],
        conditions: Conditions = Conditions(),
        *,
        seed: int = 0,
        overhead: int = 0,
    ) -> None:
        """`overhead`: octets that each datagram takes on the link beyond its own (28 for IPv4 and UDP)."""
        self.conditions = conditions
        self.counters = LinkCounters()
        self._network = network
        self._deliver = deliver
        self._random = random.Random(seed)
        self._overhead = overhead
        self._queue = _Queue()
        self._bad = False
        self._latest = float("-inf")

    def plan(self, *changes: tuple[float, Conditions]) -> None:
        """Conditions from so many seconds after the network's start on."""
        for at_s, conditions in changes:
            self._network.at(self._network.start + at_s, lambda c=conditions: self.change(c))  # type: ignore[misc]

    def change(self, conditions: Conditions) -> None:
        """From the next datagram on; the one that is being sent is sent as it began."""
        self.conditions = conditions
        self._serve()

    @property
    def queue_s(self) -> float:
        """How long what waits will take, at the present capacity."""
        return 8 * self._queue.octets / self.conditions.capacity_bps if self._queue.octets else 0.0

    def send(self, datagram: bytes) -> None:
        self.counters.sent += 1
        conditions = self.conditions
        if self._loses(conditions.loss):
            self.counters.lost += 1
            return
        size = len(datagram) + self._overhead
        queue = self._queue
        if queue.octets and self._full(size, conditions):
            self.counters.overflowed += 1
            return
        queue.waiting.append(datagram)
        queue.octets += size
        self._serve()

    def _full(self, size: int, conditions: Conditions) -> bool:
        octets = self._queue.octets + size
        if conditions.queue_bytes is not None:
            return octets > conditions.queue_bytes
        if conditions.capacity_bps == 0:
            return True
        return 8 * octets / conditions.capacity_bps > conditions.queue_s

    def _loses(self, loss: float | GilbertElliott) -> bool:
        if isinstance(loss, GilbertElliott):
            chance = loss.recover if self._bad else loss.worsen
            if self._random.random() < chance:
                self._bad = not self._bad
            return self._random.random() < (loss.loss_bad if self._bad else loss.loss_good)
        return bool(loss) and self._random.random() < loss

    def _serve(self) -> None:
        queue = self._queue
        while queue.waiting and not queue.busy and self.conditions.capacity_bps > 0:
            datagram = queue.waiting[0]
            sending_s = 8 * (len(datagram) + self._overhead) / self.conditions.capacity_bps
            if sending_s:
                queue.busy = True
                self._network.after(sending_s, self._sent)
            else:
                self._leave()

    def _sent(self) -> None:
        self._queue.busy = False
        self._leave()
        self._serve()

    def _leave(self) -> None:
        datagram = self._queue.waiting.popleft()
        self._queue.octets -= len(datagram) + self._overhead
        self._travel(datagram)

    def _travel(self, datagram: bytes) -> None:
        conditions, chance = self.conditions, self._random
        copies = 1
        if conditions.duplicated and chance.random() < conditions.duplicated:
            copies = 2
            self.counters.duplicated += 1
        for _ in range(copies):
            arrival = self._network.now + conditions.delay_s
            if conditions.jitter_s:
                arrival += chance.random() * conditions.jitter_s
            held = bool(conditions.overtaken) and chance.random() < conditions.overtaken
            if held:
                arrival += conditions.overtaken_s
            elif not conditions.reordering:
                arrival = self._latest = max(arrival, self._latest)
            self._network.at(arrival, lambda: self._arrive(datagram))

    def _arrive(self, datagram: bytes) -> None:
        self.counters.delivered += 1
        self.counters.octets += len(datagram)
        self._deliver(datagram)
