"""How good a participant's connection is, and why. A core in given time.

Once a second it is given counters that grow (`Observation`). It judges what happened within WINDOW_S against the
thresholds below and tells of a change: for the worse at once, for the better only after RISE_S without a relapse, never
more often than every INTERVAL_S.

The thresholds. ITU-T G.109 calls speech with an E-model rating (G.107) of R = 80 satisfying, with less than 70 there
are many dissatisfied. With a concealing codec (Bpl 25.1, G.113 Appendix I) 4 % of loss cost the 13 points down to 80,
8 % the 23 down to 70. Without loss, 250 ms from mouth to ear give 80, 350 ms give 70; of them about 120 ms are spent
in devices, packets and jitter buffers, and half a round trip of the other participant, 20 ms on a good line, is not
this one's fault.
"""

from collections import deque
from collections.abc import Mapping

import msgspec

from sfu.interfaces import Finding, Quality, QualityReport, Trouble

WINDOW_S = 5
"""One packet of sound is 2 % of a second, and 0.4 % of five; browsers report on sound every 5 s."""

RISE_S = 8.0
"""A line that is bad every few seconds is bad: better is what stayed better for longer than the window."""

INTERVAL_S = 2.0
"""Between two changes that are told."""

REFRESH_S = 10.0
"""While something is wrong its figures are told anew so often, to the participant itself."""

SILENT_S = 3.0
"""Browsers send sound every 20 ms, also while muted, and several pictures a second."""

LOST_S = 8.0
"""Nothing heard for three checks of Chromium (2.5 s) or one of Firefox (6 s, RFC 7675 5.1) and a little."""

MIN_PACKETS = 25
"""Half a second of sound: a share of fewer packets says nothing."""


class Threshold(msgspec.Struct, frozen=True):
    """From which value on it is fair, and poor."""

    fair: float
    poor: float


LOSS = Threshold(0.02, 0.08)
"""What never comes. Fair at half of what speech can bear, because a picture freezes at a single missing packet."""

REPAIRED_LOSS = Threshold(0.05, 0.20)
"""What does not come the first time, before it is sent again. A packet that is lost twice comes too late for most
viewers: 0.25 % of them at 5 %, 4 % (R = 80) at 20 %."""

ROUND_TRIP_S = Threshold(0.25, 0.45)
"""Mouth to ear = half of it + 20 ms + 120 ms: 265 and 365 ms."""

JITTER_S = Threshold(0.045, 0.095)
"""Of sound. Jitter buffers grow by about twice of it (as LiveKit reckons): beside a round trip of 40 ms, 250 and 350 ms
from mouth to ear."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a participant at a moment. Counters may begin anew with a new connection."""

    expected: int = 0
    """Packets that it sent, by their sequence numbers."""
    missed: int = 0
    """Of those: did not come the first time."""
    given_up: int = 0
    """Of those: never came in time."""
    sent: int = 0
    """Packets that were sent to it."""
    not_delivered: int = 0
    """Of those: it reports them missing."""
    heard: int = 0
    """Grows with whatever comes from it."""
    flowing: Mapping[str, int] = {}
    """Packets of each track that should come without a pause, by track id."""
    round_trip_s: float | None = None
    jitter_s: float | None = None
    """Of sound."""


class _Second(msgspec.Struct, frozen=True):
    """What happened between two observations."""

    expected: int
    missed: int
    given_up: int
    sent: int
    not_delivered: int
    jitter_s: float | None


_RANK = {Quality.GOOD: 0, Quality.FAIR: 1, Quality.POOR: 2, Quality.LOST: 3}


class QualityMeter:
    """Of one participant."""

    def __init__(self) -> None:
        self.report: QualityReport | None = None
        """As it was told last; None: nothing is known yet."""
        self._before: Observation | None = None
        self._seconds: deque[_Second] = deque(maxlen=WINDOW_S)
        self._heard_at = 0.0
        self._grew: dict[str, float] = {}
        """When a packet of each track in `flowing` came last."""
        self._told_at = 0.0
        self._rising: tuple[float, QualityReport] | None = None
        """Since when it is better than what was told, and the worst that it was since."""

    def update(self, seen: Observation, now: float) -> QualityReport | None:
        """Once a second. What to tell: a change of the quality, other findings, or the same ones with new figures."""
        before, self._before = self._before, seen
        if before is None or seen.heard != before.heard:
            self._heard_at = now
        self._watch_tracks(seen.flowing, before.flowing if before else {}, now)
        if before is None or not seen.heard:
            return None
        self._seconds.append(_between(before, seen))
        return self._tell(self._judge(seen, now), now)

    def _watch_tracks(self, flowing: Mapping[str, int], before: Mapping[str, int], now: float) -> None:
        self._grew = {
            track: self._grew.get(track, now) if packets == before.get(track) else now
            for track, packets in flowing.items()
        }

    def _judge(self, seen: Observation, now: float) -> QualityReport:
        """The present state, without regard to what was told."""
        if now - self._heard_at >= LOST_S:
            return QualityReport(Quality.LOST, ())
        graded = [(quality, finding) for quality, finding in self._findings(seen, now) if quality is not Quality.GOOD]
        graded.sort(key=lambda item: -_RANK[item[0]])
        return QualityReport(graded[0][0] if graded else Quality.GOOD, tuple(finding for _, finding in graded))

    def _findings(self, seen: Observation, now: float) -> list[tuple[Quality, Finding]]:
        total = {
            name: sum(getattr(second, name) for second in self._seconds)
            for name in ("expected", "missed", "given_up", "sent", "not_delivered")
        }
        jitters = [second.jitter_s for second in self._seconds if second.jitter_s is not None]
        jitter_s = sum(jitters) / len(jitters) if jitters else 0.0
        given_up = _grade(Trouble.UPLINK_LOSS, _share(total["given_up"], total["expected"]), LOSS, 100)
        missed = _grade(Trouble.UPLINK_REPAIR, _share(total["missed"], total["expected"]), REPAIRED_LOSS, 100)
        found = [
            given_up if given_up[0] is not Quality.GOOD else missed,  # what never came is among what was missed
            _grade(Trouble.DOWNLINK_LOSS, _share(total["not_delivered"], total["sent"]), REPAIRED_LOSS, 100),
            _grade(Trouble.ROUND_TRIP, seen.round_trip_s or 0.0, ROUND_TRIP_S, 1000),
            _grade(Trouble.JITTER, jitter_s, JITTER_S, 1000),
        ]
        if any(now - grew >= SILENT_S for grew in self._grew.values()):
            found.append((Quality.POOR, Finding(Trouble.SILENT, 0)))
        return found

    def _tell(self, judged: QualityReport, now: float) -> QualityReport | None:
        told = self.report
        if told is not None:
            if now - self._told_at < INTERVAL_S:
                return None
            if _RANK[judged.quality] < _RANK[told.quality]:
                risen = self._risen(judged, told, now)
                if risen is None:
                    return None
                judged = risen
            elif judged.quality is told.quality and not self._is_news(judged, told, now):
                self._rising = None
                return None
        self._rising = None
        self.report, self._told_at = judged, now
        return judged

    def _is_news(self, judged: QualityReport, told: QualityReport, now: float) -> bool:
        """Of the same quality: is something else wrong, or is it time for new figures?"""
        if [finding.trouble for finding in judged.findings] != [finding.trouble for finding in told.findings]:
            return True
        return bool(judged.findings) and now - self._told_at >= REFRESH_S

    def _risen(self, judged: QualityReport, told: QualityReport, now: float) -> QualityReport | None:
        """It is better than what was told: the worst that it was since it is, once that is long enough."""
        if told.quality is Quality.LOST:
            return judged  # who is back is back
        if self._rising is None:
            self._rising = (now, judged)
        since, worst = self._rising
        if _RANK[judged.quality] >= _RANK[worst.quality]:
            worst = judged
        self._rising = (since, worst)
        return worst if now - since >= RISE_S else None


def _between(before: Observation, seen: Observation) -> _Second:
    """Where a counter went back: it began anew, or what had been missed had only been overtaken."""

    def grew(name: str) -> int:
        growth: int = getattr(seen, name) - getattr(before, name)
        return max(0, growth)

    uplink = seen.expected >= before.expected
    downlink = seen.sent >= before.sent
    return _Second(
        expected=grew("expected"),
        missed=grew("missed") if uplink else 0,
        given_up=grew("given_up") if uplink else 0,
        sent=grew("sent"),
        not_delivered=grew("not_delivered") if downlink else 0,
        jitter_s=seen.jitter_s,
    )


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole >= MIN_PACKETS else 0.0


def _grade(trouble: Trouble, value: float, threshold: Threshold, scale: int) -> tuple[Quality, Finding]:
    quality = Quality.POOR if value >= threshold.poor else Quality.FAIR if value >= threshold.fair else Quality.GOOD
    return quality, Finding(trouble, round(scale * value, 1))
