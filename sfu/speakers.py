"""Who speaks in a room, and who leads: dominant speaker identification after Volfin and Cohen (sfu.voice). A core.

For each of the three windows a score says how much likelier its activity is with speech than without: the logarithm of
a binomial distribution's likelihood over an exponential one's. Somebody else becomes dominant only where all three
scores exceed those of the present one by more than C_SHORT, C_MEDIUM and C_LONG: while the present one talks on, nobody
does. Silence changes nothing.
"""

from collections.abc import Mapping
from math import comb, log

from sfu.voice import LONG_MEDIUMS, MEDIUM_STEPS, SHORT_MAX, Voice

C_SHORT, C_MEDIUM, C_LONG = 3.0, 2.0, 0.0
"""How much larger the logarithms of the scores must be, as in Jitsi and mediasoup."""

MIN_LONG = 2
"""Medium windows of speech before anybody counts as speaking, 350 ms: a cough or a chair is shorter."""

SPEAKING_HOLD_S = 1.0
"""Who pauses for less than that still speaks: tiles must not flicker between words."""

MAX_SPEAKING = 6
"""Named at once; the ones who spoke first. More at a time tell nobody anything."""

_LEAST_SCORE = 1e-10


def _scores(most: int, rate: float) -> tuple[float, ...]:
    """Logarithms of the scores of 0..`most` active parts. `rate`: of the exponential distribution without speech."""
    scores = (log(comb(most, v)) + most * log(0.5) - log(rate) + rate * v for v in range(most + 1))
    return tuple(log(max(_LEAST_SCORE, score)) for score in scores)


SHORT_SCORES = _scores(SHORT_MAX, 0.78)
MEDIUM_SCORES = _scores(MEDIUM_STEPS, 24.0)
LONG_SCORES = _scores(LONG_MEDIUMS, 47.0)
"""Rates as in Jitsi and mediasoup."""


class Speakers:
    """`step` once every `sfu.voice.STEP_S`, after the voices."""

    def __init__(self) -> None:
        self.dominant: str | None = None
        """Who speaks, or spoke last; None: nobody yet, or who did has left."""
        self.speaking: tuple[str, ...] = ()
        """Who speaks now: the dominant one first if it does, then those who have spoken for longest."""

    def step(self, voices: Mapping[str, Voice], now: float) -> None:
        """`voices`: of everybody, by a name of the caller's."""
        present = voices.get(self.dominant) if self.dominant is not None else None
        self.dominant = self._successor(voices, present) or (self.dominant if present is not None else None)
        held = [key for key in self.speaking if key in voices and now - voices[key].spoke_at < SPEAKING_HOLD_S]
        held += [key for key, voice in voices.items() if _begins(voice) and key not in held]
        if self.dominant in held:
            held.remove(self.dominant)
            held.insert(0, self.dominant)
        self.speaking = tuple(held[:MAX_SPEAKING])

    @staticmethod
    def _successor(voices: Mapping[str, Voice], present: Voice | None) -> str | None:
        """Who takes over in this step."""
        short, medium, long = (present.short, present.medium, present.long) if present is not None else (0, 0, 0)
        best: tuple[float, float, float] | None = None
        successor = None
        for key, voice in voices.items():
            if voice is present or not _begins(voice):
                continue
            gain = MEDIUM_SCORES[voice.medium] - MEDIUM_SCORES[medium]
            if (
                gain > C_MEDIUM
                and SHORT_SCORES[voice.short] - SHORT_SCORES[short] > C_SHORT
                and LONG_SCORES[voice.long] - LONG_SCORES[long] > C_LONG
            ):
                rank = (gain, LONG_SCORES[voice.long], voice.envelope)
                if best is None or rank > best:
                    best, successor = rank, key
        return successor


def _begins(voice: Voice) -> bool:
    return voice.long >= MIN_LONG and voice.speaks
