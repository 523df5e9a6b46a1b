"""The sending half of a transport: subscriptions, what the receiver says of them and of what its network carries."""

from collections import Counter

from sfu.congestion.estimator import BandwidthEstimator
from sfu.congestion.feedback import TransportFeedback
from sfu.congestion.pacer import Pacer
from sfu.held import HeldRun
from sfu.rtcp import KeyFrameRequest, Nack, ReceiverReports, Remb
from sfu.subscription import Subscription
from sfu.voice import STEP_S

TICK_S = STEP_S
"""Interval of the regular duties of transports and rooms: arrival feedback and requests for packets (libwebrtc's
feedback interval is 50-250 ms), pacing, listening to levels."""

REPAIR_SHARE = 0.25
"""Of what the receiver's network is taken to carry, the most that is sent again: what a loss of a fifth needs. Without
a bound a path that became thin is kept full for a second more by packets of pictures that are over: a viewer asks for
each ten times (tests/impairment/test_thin_downlink.py)."""

MAX_SENDER_REPORTS = 30
"""In one compound packet, 28 bytes each, so that it stays below the path MTU."""

UNPACED_TICKS = 4
"""A pacer that has nothing to do is told every so many ticks what flows: it costs as much as the rest of a tick."""


class Outbound:
    """`new_tick` every TICK_S."""

    def __init__(self) -> None:
        self._by_ssrc: dict[int, Subscription] = {}
        self.estimator: BandwidthEstimator | None = None
        """Where the receiver agreed to say what arrives."""
        self.pacer: Pacer[HeldRun] = Pacer()
        """Of pictures to a receiver whose path has shown what it takes."""
        self._past: Counter[str] = Counter()
        """Counters of subscriptions that were removed."""
        self._unpaced_ticks = 0
        """Since the pacer was told what flows."""
        self._asked: set[Subscription] = set()
        """Who was asked for packets since the last tick."""
        self._resend_octets = float("inf")
        """May be sent again before the next tick."""

    def add(self, subscription: Subscription) -> None:
        self._by_ssrc[subscription.ssrc] = subscription

    def remove(self, subscription: Subscription) -> None:
        if self._by_ssrc.pop(subscription.ssrc, None) is not None:
            self._past.update(subscription.counters())

    def all(self) -> list[Subscription]:
        return list(self._by_ssrc.values())

    def counters(self) -> Counter[str]:
        """Those of `Subscription.counters`, over all subscriptions that there ever were here, and probes."""
        totals = Counter(self._past)
        for subscription in self._by_ssrc.values():
            totals.update(subscription.counters())
        if self.estimator is not None:
            totals["probes_sent"] = self.estimator.probes
            totals["probes_answered"] = self.estimator.probes_answered
        totals["runs_paced"] = self.pacer.held
        totals["pacer_overflows"] = self.pacer.overflows
        return totals

    def pace(self) -> None:
        """Every 50 ms: the pacer follows the estimate, while the path shows a limit. Where it shows none more may flow
        than is estimated (sfu.division), and would wait for nothing."""
        if self.estimator is None:
            return
        limit_bps = self.estimator.limit_bps
        self._unpaced_ticks += 1
        if limit_bps is None and not self.pacer.paces and self._unpaced_ticks < UNPACED_TICKS:
            return
        flowing_bps = 0.0
        for subscription in self._by_ssrc.values():
            if subscription.encoding is not None:
                flowing_bps += subscription.encoding.meter.bps
        self.pacer.pace(limit_bps, flowing_bps, self._unpaced_ticks)
        self._unpaced_ticks = 0

    def nack(self, packet: Nack, now: float) -> None:
        subscription = self._by_ssrc.get(packet.ssrc)
        if subscription is not None:
            subscription.nacked += len(packet.sequence_numbers)
            self._asked.add(subscription)
            for sequence in packet.sequence_numbers:
                if self._resend_octets > 0:
                    self._resend_octets -= subscription.retransmit(sequence, now)
                else:
                    subscription.skipped += 1

    def new_tick(self) -> None:
        """What may be sent again until the next one is decided."""
        for subscription in self._asked:
            subscription.new_tick()
        self._asked.clear()
        if self.estimator is not None:
            octets = REPAIR_SHARE * self.estimator.target_bps * TICK_S / 8
            self._resend_octets = octets + min(0.0, self._resend_octets)

    def key_frame_request(self, packet: KeyFrameRequest) -> None:
        subscription = self._by_ssrc.get(packet.ssrc)
        if subscription is not None:
            subscription.key_frame_request(packet.fir_number)

    def feedback(self, packet: TransportFeedback, now: float) -> None:
        if self.estimator is not None:
            self.estimator.feedback(packet, now)

    def remb(self, packet: Remb, now: float) -> None:
        if self.estimator is not None:
            self.estimator.remb(packet.bps, now)

    def probe(self, octets: int, cluster: int) -> None:
        """Send about so many octets that the receiver does not need, in packets like those of its pictures."""
        running = [s for s in self._by_ssrc.values() if s.rtx_payload_type and s.numbered]
        number = 0
        while octets > 0 and running:
            subscription = running[-1]
            sent = subscription.probe(number, cluster)
            number += 1
            if not sent:
                number = 0
                if len(running) > 1:
                    running.pop()
                    continue
                sent = subscription.pad(cluster)
            octets -= sent

    def reports(self, packet: ReceiverReports, now: float, ntp_now: int) -> None:
        lost = 0.0
        for block in packet.blocks:
            subscription = self._by_ssrc.get(block.ssrc)
            if subscription is None:
                continue
            round_trip = None
            if block.last_sr:
                ticks = (ntp_now >> 16) - block.last_sr - block.delay_since_last_sr & 0xFFFFFFFF
                if ticks < 10 * 65536:
                    round_trip = ticks / 65536
            subscription.reported(block, round_trip)
            lost = max(lost, block.fraction_lost / 256)
            if self.estimator is not None and round_trip is not None:
                self.estimator.round_trip(round_trip)
        if self.estimator is not None:
            self.estimator.loss(lost, now)

    def sender_reports(self, now: float, ntp_now: int) -> list[bytes]:
        reports = [r for s in self._by_ssrc.values() if (r := s.sender_report(now, ntp_now)) is not None]
        return [
            b"".join(reports[start : start + MAX_SENDER_REPORTS])
            for start in range(0, len(reports), MAX_SENDER_REPORTS)
        ]
