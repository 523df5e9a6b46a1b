"""What one transport may send, as far as its receiver's reports tell: the facade of this package.

With transport-wide feedback the target is the least of the delay-based rate (`groups`, `trendline`, `detector`,
`rate_control`), the bounds by loss (`loss`) and by a queue that stands (`queueing`, `drain`), and a REMB, if one came;
without, REMB and receiver reports alone decide. An over-use counts only if there is a queue, so that jitter does not.
Probes (`probing`, `probe_rate`) find what is free, because a sender that has little to send cannot see it otherwise.

A core in given time: call `feedback` (or `remb`, `loss`, `round_trip`) as reports come, `tick` every 50 ms, and note
everything that leaves in `sent`. Hot: `sent.note` once per run and viewer (0.2 us), `feedback` 10 to 20 times a second:
35 us for 23 packets in eight bursts, 68 us for 245 in 45 runs, 0.28 us a packet. Reports that tell nothing new are read
as one (`joining`).
"""

from sfu.congestion.detector import Detector, Usage
from sfu.congestion.drain import LONG_S, Drain
from sfu.congestion.feedback import TICKS_PER_S, TransportFeedback
from sfu.congestion.groups import ArrivalGroups
from sfu.congestion.joining import JoinedReports, is_whole
from sfu.congestion.loss import LossBound
from sfu.congestion.probe_rate import ProbeRate
from sfu.congestion.probing import ProbeCluster, ProbePlanner
from sfu.congestion.queueing import QueueDelay
from sfu.congestion.rate_control import GROWTH_PER_S, HEADROOM, HEADROOM_BPS, RateControl, RateState
from sfu.congestion.sent import SentLog
from sfu.congestion.throughput import Throughput
from sfu.congestion.trendline import Trendline

MIN_BPS, MAX_BPS = 30_000.0, 100_000_000.0
"""The target stays within: less does not carry one voice, more is no conference."""

SILENCE_S = 2.0
"""Something is sent and no report comes for this long: the receiver or the path is gone for now."""

DECAY, DECAY_EVERY_S = 0.8, 1.0
"""Then the target falls by this, so often (libwebrtc)."""

CALM_S = 0.5
"""After a step down nothing is probed for this long."""

STANDING_S = 0.05
"""A queue longer than this has not drained: nothing is probed, and the rate does not grow."""

AGAIN_S = 1.0
"""While a long queue drains, so long after a step down there is another, if the trend asks for none."""

OUTGROWN = 2.0
"""Times the target before the last step down: the limit that the path showed then is none any more."""

STUCK = 0.9
"""Less than this share of what is sent arrives: a queue is growing."""

DEFAULT_ROUND_TRIP_S = 0.1

RECEIVED_OF_REPORT = 200
"""Packets that the loss fraction of a receiver report stands for (it comes in 1/256)."""


_TICK_S = 1 / TICKS_PER_S


class BandwidthEstimator:
    def __init__(self, now: float, start_bps: int = 600_000) -> None:
        self.sent = SentLog()
        self.useful_bps = 0.0
        """The most that the viewer's subscriptions could use, set by the allocator. Nothing is probed beyond it (and a
        little margin); 0 means no probing."""
        self._groups = ArrivalGroups()
        self._trendline = Trendline()
        self._detector = Detector()
        self._rate = RateControl(start_bps)
        self._loss = LossBound()
        self._arriving, self._offered = Throughput(), Throughput()
        self._offered_octets = 0
        self._queue = QueueDelay()
        self._planner = ProbePlanner(now)
        self._probes = ProbeRate()
        self._enough_bps = 0.0
        """Passes without a queue, as far as the last report tells; 0 if something is wrong, or being tried. A viewer
        who wants no more has reports that can wait until they tell of a loss or a queue."""
        self._joined = JoinedReports()
        self._drain = Drain()
        self._shown_bps = 0.0
        """The target before the last step down; 0: there was none."""
        self._remb_bps: float | None = None
        self._round_trip_s: float | None = None
        self._has_feedback = False
        self._reports_only = False
        """Receiver reports or REMB came, and no transport-wide feedback."""
        self._unanswered_since: float | None = None
        self._reported = now
        """Last receiver report, without transport-wide feedback,"""
        self._reported_octets = 0
        """and what had been sent by then."""

    @property
    def target_bps(self) -> float:
        """Everything that may be sent: media, retransmissions, padding."""
        target = min(self._rate.target_bps, self._loss.bps, self._drain.bps)
        if self._remb_bps is not None:
            target = min(target, self._remb_bps) if self._has_feedback else min(self._remb_bps, self._loss.bps)
        return max(MIN_BPS, min(MAX_BPS, target))

    @property
    def bound(self) -> str:
        """Which of the bounds of `target_bps` is the lowest: `delay`, `loss`, `queue` (one that stands is drained) or
        `remb`."""
        bounds = {"delay": self._rate.target_bps, "loss": self._loss.bps, "queue": self._drain.bps}
        if self._remb_bps is not None:
            if not self._has_feedback:
                del bounds["delay"], bounds["queue"]
            bounds["remb"] = self._remb_bps
        return min(bounds, key=bounds.__getitem__)

    @property
    def probes(self) -> int:
        """Sent so far."""
        return self._planner.asked

    @property
    def probes_answered(self) -> int:
        """Of those: showed a rate."""
        return self._planner.answers

    @property
    def state(self) -> RateState:
        return self._rate.state

    @property
    def round_trip_s(self) -> float | None:
        """With the time that the receiver waits before it reports, where feedback is all there is."""
        return self._round_trip_s

    @property
    def limit_bps(self) -> float | None:
        """The target, if the path has shown a limit: by a queue that grew, or by loss. None: all that is known is that
        it takes what was sent."""
        target = self.target_bps
        return target if target < OUTGROWN * self._shown_bps or self._loss.bps <= target else None

    @property
    def loss_fraction(self) -> float:
        return self._loss.fraction

    @property
    def acknowledged_bps(self) -> float:
        """What arrives, by transport-wide feedback; 0: not known."""
        return self._arriving.bps

    @property
    def queue_s(self) -> float:
        """How long packets stand in the path's queues."""
        return self._queue.standing_s

    def feedback(self, feedback: TransportFeedback, now: float) -> None:
        """A transport-wide feedback came."""
        self._has_feedback, self._reports_only = True, False
        self._unanswered_since = None
        can_wait = (
            0 < self.useful_bps <= self._enough_bps
            and is_whole(feedback)
            and self._queue.is_empty_at(self.sent.least_delay_s(feedback))
        )
        for report, at in self._joined.add(feedback, now, can_wait=can_wait):
            self._read(report, at)

    def _read(self, feedback: TransportFeedback, now: float) -> None:
        outcome = self.sent.resolve(feedback, now)
        arrivals = outcome.arrivals
        if self._loss.note(outcome.received, outcome.lost, now):
            self._loss.update(self.target_bps, self._arriving.bps, now)
        if not arrivals:
            return
        newest = arrivals[-1][1]
        latest = arrivals[-1][3] if feedback.ordered else max([arrival[3] for arrival in arrivals])
        lowest_s = min([arrival[2] * _TICK_S - arrival[0] for arrival in arrivals])
        groups = self._groups.update(arrivals)
        if groups:
            trendline = self._trendline
            trendline.update(groups)
            self._detector.update(trendline.slope, trendline.groups, len(groups), groups[-1][0])
        if self._probes:
            for arrival in arrivals:
                self._probes.note(arrival)
        if outcome.gap:
            self._arriving.interrupt()
            self._offered.interrupt()
        self._arriving.update(outcome.octets, latest * _TICK_S)
        self._offered.update(outcome.offered - self._offered_octets, newest)
        self._offered_octets = outcome.offered
        self._queue.note(lowest_s, now)
        self.round_trip(now - newest)
        self._control(self._detector.usage, now)

    def _control(self, usage: Usage, now: float) -> None:
        rate, arriving_bps, queue = self._rate, self._arriving.bps, self._queue
        before_bps, decreased = rate.target_bps, rate.decreased
        standing_s = queue.standing_s
        stuck = arriving_bps < STUCK * self._offered.bps
        drain = self._drain
        drain.update(standing_s, arriving_bps, stuck or before_bps < HEADROOM * arriving_bps, now)
        if usage is Usage.OVERUSE and not queue.stands:
            usage = Usage.NORMAL
        elif usage is Usage.NORMAL and drain.active and now - decreased > AGAIN_S:
            usage = Usage.OVERUSE
        rate.update(
            usage,
            arriving_bps,
            DEFAULT_ROUND_TRIP_S if self._round_trip_s is None else self._round_trip_s,
            stuck=stuck or drain.active,
            hold=drain.active or STANDING_S < standing_s < LONG_S,
            now=now,
        )
        if rate.decreased != decreased:
            self._shown_bps = before_bps
            self._planner.dropped(before_bps, rate.target_bps, now)
        if self._probes:
            shown_bps = self._probes.take()
            if shown_bps:
                self._planner.answered(shown_bps)
                if usage is not Usage.OVERUSE:
                    rate.probed(min(shown_bps, MAX_BPS))
                    self._loss.raise_to(shown_bps)
        rate.target_bps = max(MIN_BPS, min(MAX_BPS, rate.target_bps))
        is_open = usage is Usage.NORMAL and rate.state is RateState.INCREASE and not self._loss.fraction
        self._enough_bps = self.target_bps if is_open and not (self._probes or drain.active or queue.stands) else 0.0

    def remb(self, bps: float, now: float) -> None:
        """A REMB came, for everything that this transport sends."""
        self._remb_bps = max(MIN_BPS, min(MAX_BPS, bps))
        self._reports_only = not self._has_feedback

    def round_trip(self, seconds: float) -> None:
        seconds = max(0.0, seconds)
        known = self._round_trip_s
        self._round_trip_s = seconds if known is None else known + (seconds - known) / 8

    def loss(self, fraction: float, now: float) -> None:
        """Loss since the last one, 0..1, by a receiver report where no transport-wide feedback is to be had; ignored
        where it is."""
        if self._has_feedback:
            return
        self._reports_only = True
        passed_s = now - self._reported
        if passed_s <= 0:
            return
        sent_bps = 8 * (self.sent.octets - self._reported_octets) / passed_s
        lost = round(max(0.0, min(1.0, fraction)) * RECEIVED_OF_REPORT)
        received = RECEIVED_OF_REPORT - lost
        self._loss.note(received, lost, now)
        self._loss.update(self.target_bps, sent_bps * received / RECEIVED_OF_REPORT, now)
        self._reported, self._reported_octets = now, self.sent.octets
        grown = self._rate.target_bps * GROWTH_PER_S ** min(passed_s, 1.0)
        self._rate.target_bps = max(self._rate.target_bps, min(grown, HEADROOM * sent_bps + HEADROOM_BPS, MAX_BPS))

    def tick(self, now: float) -> ProbeCluster | None:
        """Every 50 ms. A probe to be sent now, if there is something to gain."""
        for report, at in self._joined.take_old(now):
            self._read(report, at)
        if self._reports_only or not self.sent.awaited:
            self._unanswered_since = None
            return None
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since > SILENCE_S:
            self._rate.target_bps = max(MIN_BPS, DECAY * self.target_bps)
            self._unanswered_since += DECAY_EVERY_S
            return None
        calm = (
            self._detector.usage is Usage.NORMAL
            and now - self._rate.decreased > CALM_S
            and self._queue.standing_s < STANDING_S
        )
        cluster = self._planner.tick(self.target_bps, self.useful_bps, calm, now)
        if cluster is not None:
            self._probes.expect(cluster)
        return cluster
