"""A sender with an estimator and a viewer with feedback, on two modelled links: what a transport does, without media.

The sender sends frames of as much as it has and may send, audio, and the probes that the estimator asks for; the viewer
reports arrivals with the writer of `sfu.twcc`, as RTCP packets, at Chromium's interval.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sfu.congestion.estimator import BandwidthEstimator
from sfu.congestion.feedback import TransportFeedback
from sfu.congestion.probing import MIN_PACKETS, ProbeCluster
from sfu.rtcp import parse
from sfu.twcc import ArrivalLog
from tests.support.network_model import Conditions, Link, Network

FRAME_S = 1 / 30
AUDIO_S, AUDIO_OCTETS = 0.02, 120
PACKET_OCTETS = 1200
TICK_S = 0.05
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Sample:
    at_s: float
    target_bps: float
    queue_s: float
    """In the link's queue, as it is."""
    sent_bps: float
    """Since the sample before."""


@dataclass
class Media:
    """What there is to send; `video_bps` may be changed while the network runs. Frames vary by `variation`."""

    video_bps: float = 20e6
    audio: bool = True
    variation: float = 0.2


@dataclass
class Viewer:
    """Runs on `network`; `samples` is what happened."""

    network: Network
    down: Conditions
    up: Conditions
    media: Media
    seed: int = 1
    feedback_s: float = 0.1
    start_bps: int = 600_000
    useful_bps: float | None = None
    """None: what the media has."""
    samples: list[Sample] = field(default_factory=list)
    probes: list[tuple[float, ProbeCluster]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.estimator = BandwidthEstimator(self.network.now, self.start_bps)
        self.down_link = Link(self.network, self._arrived, self.down, seed=self.seed)
        self.up_link = Link(self.network, self._reported, self.up, seed=self.seed + 1000)
        self._chance = random.Random(self.seed + 2000)
        self._arrivals = ArrivalLog()
        self._sent_octets = 0
        self.network.every(FRAME_S, self._frame)
        self.network.every(AUDIO_S, self._audio)
        self.network.every(self.feedback_s, self._report)
        self.network.every(TICK_S, self._tick)
        self.network.every(SAMPLE_S, self._sample)

    def run(self, until_s: float) -> "Viewer":
        self.network.run(until_s)
        return self

    # --- the sender

    def _frame(self) -> None:
        audio_bps = 8 * AUDIO_OCTETS / AUDIO_S if self.media.audio else 0
        bps = min(self.media.video_bps, self.estimator.target_bps - audio_bps)
        spread = self.media.variation
        octets = int(bps * FRAME_S / 8 * self._chance.uniform(1 - spread, 1 + spread))
        if octets > 20:
            packets = -(-octets // PACKET_OCTETS)
            self._send([octets // packets] * packets)

    def _audio(self) -> None:
        if self.media.audio:
            self._send([AUDIO_OCTETS])

    def _send(self, sizes: list[int], cluster: int = 0) -> None:
        number = self.estimator.sent.note(len(sizes), sum(sizes), self.network.now, cluster)
        for place, size in enumerate(sizes):
            self._sent_octets += size
            self.down_link.send((number + place & 0xFFFF).to_bytes(2, "big") + bytes(size - 2))

    def _tick(self) -> None:
        media = self.media
        self.estimator.useful_bps = media.video_bps + 64_000 if self.useful_bps is None else self.useful_bps
        probe = self.estimator.tick(self.network.now)
        if probe is not None:
            self.probes.append((self.network.elapsed_s, probe))
            packets = max(MIN_PACKETS, -(-probe.octets // PACKET_OCTETS))
            size = probe.octets // packets
            for n in range(packets):
                self.network.after(n * 8 * size / probe.rate_bps, lambda: self._send([size], probe.id))

    def _reported(self, datagram: bytes) -> None:
        for packet in parse(datagram):
            if isinstance(packet, TransportFeedback):
                self.estimator.feedback(packet, self.network.now)

    # --- the viewer

    def _arrived(self, datagram: bytes) -> None:
        self._arrivals.arrivals.append((int.from_bytes(datagram[:2], "big"), self.network.now))

    def _report(self) -> None:
        packet = self._arrivals.take_feedback(1, 2)
        if packet is not None:
            self.up_link.send(packet)

    # --- what happened

    def _sample(self) -> None:
        at_s = self.network.elapsed_s
        self.samples.append(
            Sample(at_s, self.estimator.target_bps, self.down_link.queue_s, 8 * self._sent_octets / SAMPLE_S)
        )
        self._sent_octets = 0

    def between(self, begin_s: float, end_s: float) -> list[Sample]:
        return [sample for sample in self.samples if begin_s <= sample.at_s <= end_s]

    def mean_bps(self, begin_s: float, end_s: float) -> float:
        samples = self.between(begin_s, end_s)
        return sum(sample.target_bps for sample in samples) / len(samples)

    def first(self, when: Callable[[Sample], bool], after_s: float = 0.0) -> float:
        """Seconds since the start of the first such sample; infinity if there is none."""
        return next((s.at_s for s in self.samples if s.at_s >= after_s and when(s)), float("inf"))
