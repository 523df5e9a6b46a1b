"""A room's microphones: who speaks (sfu.speakers), and who is forwarded (sfu.loudest). A core over its tracks.

A microphone whose packets never carried a level (clients without RFC 6464) is always forwarded and never speaks. What
is shared with a screen is forwarded as well: it is a programme, not a voice. Recordings are not touched.
"""

from collections.abc import Iterable

from sfu.figures import SoundFigures
from sfu.interfaces import TrackKind
from sfu.loudest import Loudest
from sfu.speakers import Speakers
from sfu.track import Track
from sfu.voice import FULL_SCALE, Voice

ALL_UP_TO = 12
"""Participants of a room in which everybody is forwarded, if the operator sets no number."""

PLACES = 6
"""Microphones that are forwarded in larger ones: more voices at a time nobody can follow."""

ANNOUNCE_S = 0.3
"""Least time between two announcements of who speaks: more often only flickers."""


class RoomSound:
    def __init__(self, loudest: int) -> None:
        """`loudest`: as `media.loudest` in config.toml."""
        self._setting = loudest
        self._voices: dict[str, Voice] = {}
        """By track id; of tracks that ever said a level."""
        self._speakers = Speakers()
        self._loudest = Loudest()
        self._announced: tuple[str | None, tuple[str, ...]] = (None, ())
        self._announced_at = float("-inf")
        self.places: int | None = None
        """How many microphones are forwarded at most; None: all."""

    @property
    def dominant(self) -> str | None:
        """Id of the participant who leads, or led until everybody fell silent."""
        return self._speakers.dominant

    @property
    def speaking(self) -> tuple[str, ...]:
        """Ids of participants who speak, the dominant one first if it does."""
        return self._speakers.speaking

    def step(self, microphones: Iterable[Track], participants: int, now: float) -> bool:
        """Once every `sfu.voice.STEP_S`, with the tracks of all microphones. True: announce who speaks."""
        voices: dict[str, Voice] = {}
        of_participants: dict[str, Voice] = {}
        tracks = list(microphones)
        for track in tracks:
            level = track.take_level()
            voice = self._voices.get(track.track_id)
            if voice is None:
                if level is None:
                    continue
                voice = Voice()
            voice.step(FULL_SCALE if track.muted else level, now)
            voices[track.track_id] = voice
            other = of_participants.get(track.participant_id)
            if other is None or other.long < voice.long:
                of_participants[track.participant_id] = voice
        self._voices = voices
        self._speakers.step(of_participants, now)
        self.places = self._setting or (None if participants <= ALL_UP_TO else PLACES)
        chosen = self._loudest.choose(voices, len(voices) if self.places is None else self.places, now)
        for track in tracks:
            track.gate(track.track_id in voices and track.track_id not in chosen)
        return self._is_news(now)

    def figures(self, track: Track) -> SoundFigures:
        """Of a track with sound."""
        voice = self._voices.get(track.track_id)
        if track.gated:
            reason = "not_among_loudest"
        elif track.kind is TrackKind.MICROPHONE:
            reason = "all" if self.places is None else "no_level" if voice is None else "among_loudest"
        else:
            reason = "no_microphone"
        return SoundFigures(
            level_dbov=voice.loudness - FULL_SCALE if voice is not None else None,
            noise_dbov=voice.noise - FULL_SCALE if voice is not None else None,
            speaks=voice.speaks if voice is not None else None,
            forwarded=not track.gated,
            reason=reason,
        )

    def _is_news(self, now: float) -> bool:
        state = (self.dominant, self.speaking)
        if state == self._announced or now - self._announced_at < ANNOUNCE_S:
            return False
        self._announced = state
        self._announced_at = now
        return True
