"""One-way delay of groups of packets (draft-ietf-rmcat-gcc-02, 5.2 and 5.3). Hot: once per burst.

A group is what was sent within 5 ms, because that is one frame: what the network does to packets of one burst says
nothing about its load. What arrives in a burst after having been held up somewhere counts as one group, too. The delay
is that of its last packet, on two clocks whose difference is unknown: only its changes mean something.
"""

from collections.abc import Sequence

from sfu.congestion.feedback import TICKS_PER_S
from sfu.congestion.sent import BURST_S, Arrival

MAX_BURST_S = 0.1
"""A group of held up packets takes no longer (libwebrtc)."""

_BURST_TICKS = int(BURST_S * TICKS_PER_S)
_MAX_BURST_TICKS = int(MAX_BURST_S * TICKS_PER_S)
_TICK_S = 1 / TICKS_PER_S
_NEVER = float("-inf")
_LONG_AGO = -1 << 62

Group = tuple[int, float]
"""When the last packet arrived (ticks) and how long it took (seconds)."""


class ArrivalGroups:
    __slots__ = ("_before", "_first", "_last", "_opened", "_sent")

    def __init__(self) -> None:
        self._opened = self._sent = _NEVER
        """Of the group that may still grow: when its first and its last packet were sent,"""
        self._first = self._last = _LONG_AGO
        """and arrived."""
        self._before = _LONG_AGO
        """Arrival of the last group that ended."""

    def update(self, arrivals: Sequence[Arrival]) -> list[Group]:
        """Of one report, in the order of sending. Returns the groups that ended; one that arrived before its
        predecessor is left out."""
        ended: list[Group] = []
        opened, sent, first, last = self._opened, self._sent, self._first, self._last
        for burst_opened, burst_sent, burst_first, burst_last, _, _, _ in arrivals:
            if burst_sent - opened <= BURST_S:
                if burst_opened >= opened:
                    sent = burst_sent
                    if burst_last > last:
                        last = burst_last
                continue
            later = burst_last - last
            if 0 <= later <= _BURST_TICKS and last - first < _MAX_BURST_TICKS and later * _TICK_S < burst_sent - sent:
                sent, last = burst_sent, burst_last
                continue
            if last > self._before:
                if opened > _NEVER:
                    ended.append((last, last * _TICK_S - sent))
                self._before = last
            opened, sent, first, last = burst_opened, burst_sent, burst_first, burst_last
        self._opened, self._sent, self._first, self._last = opened, sent, first, last
        return ended
