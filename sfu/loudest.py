"""Which microphones of a large room are forwarded: those that were heard loudest and last. A core.

Who becomes audible takes the place of somebody who was not for HOLD_S, in the very step: its first syllable is heard.
Where everybody who is forwarded was heard just now, it must be louder than the quietest of them by MARGIN_DB. Who
came in that way stays for MIN_STAY_S at least.
"""

from collections.abc import Mapping

from sfu.voice import Voice

HOLD_S = 2.0
"""Pauses between sentences are shorter."""

MARGIN_DB = 6.0

MIN_STAY_S = 1.0


class Loudest:
    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        """Who is forwarded, and since when, if in the place of another. At most as many as there are voices."""

    def choose(self, voices: Mapping[str, Voice], places: int, now: float) -> set[str]:
        """Those to forward, at most `places`; call it once every `sfu.voice.STEP_S`, after the voices."""
        since = self._since = {key: start for key, start in self._since.items() if key in voices}

        def rank(key: str) -> tuple[float, float]:
            """Those heard within HOLD_S by their loudness, above those who were not by the time since."""
            voice = voices[key]
            return min(voice.heard_at, now - HOLD_S), voice.envelope

        while len(since) > places:
            del since[min(since, key=rank)]
        for key in sorted((key for key in voices if key not in since), key=rank, reverse=True):
            if len(since) < places:
                since[key] = float("-inf")
            elif voices[key].is_audible:
                settled = [place for place, start in since.items() if now - start >= MIN_STAY_S]
                last = min(settled, key=rank, default=None)
                if last is None:
                    break
                voice, other = voices[key], voices[last]
                if other.heard_at <= now - HOLD_S or voice.envelope >= other.envelope + MARGIN_DB:
                    del since[last]
                    since[key] = now
        return set(since)
