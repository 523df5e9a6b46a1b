"""What microphones say of their loudness, in steps of `sfu.voice.STEP_S`: speech, noise, single sounds; seeded.

Levels are those of RFC 6464: 0 is full scale, 127 silence.
"""

import random
from collections.abc import Callable, Iterator, Mapping

from sfu.loudest import Loudest
from sfu.speakers import Speakers
from sfu.voice import STEP_S, Voice

ROOM = 65
"""Level of a quiet room."""

Levels = Iterator[int | None]


def steady(level: int | None, spread: int = 0, seed: int = 0) -> Levels:
    """Noise at one level, give or take `spread`; None: no packets."""
    rng = random.Random(seed)
    while True:
        yield level if level is None else max(0, min(127, level + rng.randint(-spread, spread)))


def speech(seed: int, level: int = 25, noise: int = ROOM) -> Levels:
    """Syllables of 150-250 ms with a dip between, phrases of 1-2.5 s, pauses of 200-600 ms."""
    rng = random.Random(seed)
    while True:
        phrase_s = rng.uniform(1.0, 2.5)
        while phrase_s > 0:
            steps = rng.randint(3, 5)
            for step in range(steps):
                yield level + rng.randint(-4, 6) + (14 if step == steps - 1 else 0)
            phrase_s -= steps * STEP_S
        for _ in range(rng.randint(4, 12)):
            yield min(127, noise + rng.randint(-2, 2))


class Conversation:
    """A room of voices in virtual time. Who has no source is in a quiet room."""

    def __init__(self, *names: str, places: int | None = None, noise: int = ROOM) -> None:
        self.now = 100.0
        self.voices = {name: Voice() for name in names}
        self.speakers = Speakers()
        self.loudest = Loudest()
        self.places = places
        self.chosen: set[str] = set()
        self.dominants: list[str | None] = []
        """Each after the one before."""
        self.speaking: list[tuple[str, ...]] = []
        self._quiet = {name: steady(noise, 2, seed) for seed, name in enumerate(names)}

    def step(self, sources: Mapping[str, Levels]) -> None:
        self.now += STEP_S
        for name, voice in self.voices.items():
            voice.step(next(sources.get(name) or self._quiet[name]), self.now)
        self.speakers.step(self.voices, self.now)
        if self.places is not None:
            self.chosen = self.loudest.choose(self.voices, self.places, self.now)
        if not self.dominants or self.dominants[-1] != self.speakers.dominant:
            self.dominants.append(self.speakers.dominant)
        if not self.speaking or self.speaking[-1] != self.speakers.speaking:
            self.speaking.append(self.speakers.speaking)

    def run(self, seconds: float, **sources: Levels) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step(sources)

    def steps_until(self, condition: Callable[[], bool], most_s: float, **sources: Levels) -> int:
        """Steps that pass until it holds; an AssertionError after `most_s`."""
        for count in range(round(most_s / STEP_S)):
            if condition():
                return count
            self.step(sources)
        raise AssertionError(f"not within {most_s} s")
