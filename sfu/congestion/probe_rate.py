"""The rate that a probe showed, from when its packets left and came (after libwebrtc's probe bitrate estimator).

What was sent between a probe's packets counts with them, because it takes its share of the path.
"""

from sfu.congestion.feedback import TICKS_PER_S
from sfu.congestion.probing import MIN_PACKETS, ProbeCluster
from sfu.congestion.sent import Arrival

MAX_OPEN = 4
"""Probes that are waited for. Overflow: the oldest is given up."""

ENOUGH = 0.8
"""Share of a probe's packets and octets that must have come."""

MAX_LENGTH_S = 1.0
"""A probe that took longer, on either side, says nothing."""

SATURATED, UTILISATION = 0.9, 0.95
"""Came at less than this share of the rate at which it was sent: the path is full, and this share of it can be used."""


class _Probe:
    __slots__ = ("between", "cluster", "first", "first_sent", "head", "last", "last_sent", "octets", "packets", "tail",
                 "total")  # fmt: skip

    def __init__(self, cluster: ProbeCluster) -> None:
        self.cluster = cluster
        self.packets = 0
        self.octets = 0
        """Of the probe itself,"""
        self.total = 0
        """with what was sent between its packets,"""
        self.between = 0
        """and what was sent after its last packet so far."""
        self.head = self.tail = 0
        """Octets of the first packet to come, and of the last run to leave."""
        self.first_sent = self.last_sent = 0.0
        self.first = self.last = 0


class ProbeRate:
    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, _Probe] = {}

    def __bool__(self) -> bool:
        """Something is waited for: `note` must see every arrival."""
        return bool(self._open)

    def expect(self, cluster: ProbeCluster) -> None:
        while len(self._open) >= MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._open[cluster.id] = _Probe(cluster)

    def note(self, arrival: Arrival) -> None:
        opened, sent, first, last, octets, packets, cluster = arrival
        probe = self._open.get(cluster)
        if probe is None:
            for probe in self._open.values():
                if probe.packets and opened >= probe.last_sent:
                    probe.between += octets
            return
        if not probe.packets:
            probe.first_sent, probe.first = opened, first
            probe.head = octets // packets
        probe.packets += packets
        probe.octets += octets
        probe.total += octets + probe.between
        probe.between = 0
        probe.last_sent, probe.tail = sent, octets
        probe.first, probe.last = min(first, probe.first), max(last, probe.last or last)

    def take(self) -> float:
        """The highest rate that a probe has shown since the last call, 0 if none has."""
        best = 0.0
        for cluster, probe in list(self._open.items()):
            if probe.packets >= ENOUGH * MIN_PACKETS and probe.octets >= ENOUGH * probe.cluster.octets:
                del self._open[cluster]
                best = max(best, _rate(probe))
        return best


def _rate(probe: _Probe) -> float:
    sending_s = probe.last_sent - probe.first_sent
    coming_s = max(probe.last - probe.first, 1) / TICKS_PER_S
    if not 0 <= sending_s <= MAX_LENGTH_S or coming_s > MAX_LENGTH_S:
        return 0.0
    came_bps = 8 * (probe.total - probe.head) / coming_s
    if sending_s < 1 / TICKS_PER_S:
        # Left at once: what came says how much the path takes, which jitter may overstate.
        return min(UTILISATION * came_bps, probe.cluster.rate_bps)
    sent_bps = 8 * (probe.total - probe.tail) / sending_s
    return UTILISATION * came_bps if came_bps < SATURATED * sent_bps else min(came_bps, sent_bps)
