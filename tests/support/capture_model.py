"""A sender whose capture times are known, and what a bad path lets a journal see of them. Virtual time, by seed.

RTP and NTP clock of the sender drift on their own. Delays are those of the path and exponential queues; in a stall
nothing arrives until it is over, and then all of it.
"""

import random
from dataclasses import dataclass, field

from recorder.clock_facts import ClockFacts, ClockNotes
from recorder.frames import MediaFrame
from tests.support.journals import MS, ZERO_NS, S

RATE = 48_000
FRAME_NS = 500 * MS
"""Every 25th frame of sound is enough to be seen."""
REPORT_NOISE_NS = MS // 2
"""By how much browsers are wrong about the RTP time of a report."""
EPOCH_NS = 4_000_000_000 * S


@dataclass(frozen=True)
class Path:
    forward_ms: float = 0.0
    back_ms: float = 0.0
    jitter_ms: float = 0.0
    """Mean of the queues in each direction."""
    lost: float = 0.0
    """Share of reports, both ways."""
    stalls: tuple[tuple[float, float], ...] = ()
    """In seconds: begin and length."""
    answers: bool = True
    """Round trips are known."""


@dataclass
class Sender:
    path: Path
    seed: int
    ntp_ppm: float = 0.0
    connection: str = "c"
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def arrival(self, sent_ns: int, delay_ms: float) -> int:
        queue_ms = self.chance.expovariate(1 / self.path.jitter_ms) if self.path.jitter_ms else 0.0
        arrival_ns = sent_ns + round((delay_ms + queue_ms) * MS)
        for begin_s, length_s in self.path.stalls:
            if begin_s * S <= arrival_ns < (begin_s + length_s) * S:
                arrival_ns = round((begin_s + length_s) * S)
        return arrival_ns

    def ntp(self, at_ns: int) -> int:
        """64 bits."""
        return (EPOCH_NS + round(at_ns * (1 + self.ntp_ppm * 1e-6)) << 32) // S


@dataclass
class Stream:
    """One journal of a sender: its facts, and the truth."""

    sender: Sender
    begin_s: float
    end_s: float
    rtp_ppm: float = 0.0
    pipeline_ms: float = 10.0
    report_s: float = 1.0
    """Mean interval of sender reports; 0: none are sent."""
    delay_ns: int = 0

    def ticks(self, at_ns: int) -> int:
        return round(at_ns * (1 + self.rtp_ppm * 1e-6) * RATE / S)

    def truth(self, file_ns: int) -> int:
        """Session time of what the file shows then."""
        return round(self.begin_s * S) + round(file_ns / (1 + self.rtp_ppm * 1e-6)) - self.delay_ns

    def facts(self) -> ClockFacts:
        sender, path = self.sender, self.sender.path
        notes = ClockNotes(RATE, ZERO_NS)
        begin_ns, end_ns = round(self.begin_s * S), round(self.end_s * S)
        told: list[tuple[int, int, int]] = []
        """Arrival, capture time, 0: frame 1: report 2: round trip."""
        for at_ns in range(begin_ns, end_ns, FRAME_NS):
            told.append((sender.arrival(at_ns + round(self.pipeline_ms * MS), path.forward_ms), at_ns, 0))
        at_ns = begin_ns + round(sender.chance.random() * self.report_s * S)
        while self.report_s and at_ns < end_ns:
            if sender.chance.random() >= path.lost:
                told.append((sender.arrival(at_ns, path.forward_ms), at_ns, 1))
            at_ns += round(self.report_s * (0.5 + sender.chance.random()) * S)
        trips = []
        for second in range(-10, round(self.end_s - self.begin_s)):
            asked_ns = begin_ns + second * S
            if sender.chance.random() >= path.lost:
                there_ns = sender.arrival(asked_ns, path.back_ms)
                trips.append(sender.arrival(there_ns, path.forward_ms) - asked_ns)
            if path.answers and second > 0 and second % 10 == 0 and trips:
                told.append((asked_ns, min(trips[-60:]), 2))
        if path.answers and trips:
            told.append((end_ns, min(trips[-60:]), 2))
        told.sort()
        first_ns = next(arrival_ns for arrival_ns, _, kind in told if kind == 0)
        offset = self.ticks(first_ns) - self.ticks(begin_ns)
        notes.began(ZERO_NS + first_ns, offset)
        for arrival_ns, what_ns, kind in told:
            if kind == 0:
                frame = MediaFrame(0, ZERO_NS + arrival_ns, True, b"", True, None, RATE // 2, 1, "")
                notes.placed(frame, self.ticks(what_ns) + offset)
            elif kind == 1:
                noise_ns = round(sender.chance.uniform(-REPORT_NOISE_NS, REPORT_NOISE_NS))
                notes.reported(ZERO_NS + arrival_ns, sender.ntp(what_ns), self.ticks(what_ns + noise_ns))
            else:
                notes.round_trip(ZERO_NS + arrival_ns, what_ns)
        return notes.facts(self.ticks(begin_ns) + offset, sender.connection, self.delay_ns)
