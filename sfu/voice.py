"""One microphone's speech activity, from the levels of its packets (RFC 6464), over three windows. A core.

After Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing" (Computer Speech & Language
27(4), 2013), with levels in place of spectra as Jitsi and mediasoup do it: short, how many sub-bands of 10 dB the sound
fills in one step; medium, how many of the last steps were speech; long, how many of the last medium windows were. Time
runs in steps of STEP_S, whatever the length of packets.

A sound that stays at one level is no speech: each microphone is measured against its own noise floor.
"""

STEP_S = 0.05
"""Two or three packets of 20 ms: none of the steps of a running stream is empty."""

FULL_SCALE = 127
"""Loudness is 0 (silence) to FULL_SCALE, in dB: 127 minus the level of RFC 6464."""

SUBBAND_DB = 10
SHORT_MAX = FULL_SCALE // SUBBAND_DB
"""Largest number of sub-bands."""

SPEECH_BANDS = 8
"""Sub-bands that a step of speech fills: -47 dBov and louder, as in Jitsi and mediasoup."""

AUDIBLE_BANDS = 7
"""10 dB less: the beginning of a word, for which a microphone is forwarded already."""

MEDIUM_STEPS = 4
SPEECH_STEPS = 3
"""Of a medium window, for it to count as speech: what is shorter is a click."""

LONG_MEDIUMS = 5
"""Medium windows of a long one: 1 s."""

HELD_STEPS = 2
"""Steps without a packet that change nothing: packets of 60 ms, or a stall of the network. Then it is silent."""

FLOOR_MARGIN_DB = 10
FLOOR_LOWEST = FULL_SCALE - 70
"""A muted or gated microphone says digital silence, which is not its noise."""

FLOOR_RISE_DB = 5 * STEP_S
"""Per step: the pauses of speech, one in 2 s at least, bring the floor down; a fan becomes part of it in about 3 s."""

RELEASE_DB = 20 * STEP_S
"""Per step, of the envelope: loudness of words rather than of sounds."""

_MEDIUM_MASK = (1 << MEDIUM_STEPS) - 1
_LONG_MASK = (1 << MEDIUM_STEPS * LONG_MEDIUMS) - 1
_HALF_STEPS = MEDIUM_STEPS * (LONG_MEDIUMS // 2)
_HALF_MASK = (1 << _HALF_STEPS) - 1
_COUNTS = tuple(steps.bit_count() for steps in range(1 << MEDIUM_STEPS))
_MEDIUMS = tuple(
    sum(_COUNTS[steps >> shift & _MEDIUM_MASK] >= SPEECH_STEPS for shift in range(0, steps.bit_length(), MEDIUM_STEPS))
    for steps in range(1 << MEDIUM_STEPS * LONG_MEDIUMS - _HALF_STEPS)
)
"""Medium windows of speech in a part of a long one, by its steps."""


class Voice:
    """`step` once every STEP_S; the rest is read."""

    __slots__ = (
        "_floor",
        "_missing",
        "_steps",
        "envelope",
        "heard_at",
        "long",
        "loudness",
        "medium",
        "short",
        "spoke_at",
    )

    def __init__(self) -> None:
        self.loudness = 0
        self.short = self.medium = self.long = 0
        """0..SHORT_MAX, 0..MEDIUM_STEPS, 0..LONG_MEDIUMS."""
        self.envelope = 0.0
        """Loudness of what is heard of it: rises at once, falls slowly."""
        self.heard_at = self.spoke_at = float("-inf")
        """When it was last audible, and when it last was loud enough for speech."""
        self._floor: float = FULL_SCALE
        """The first level that is heard is taken for noise until there is a weaker one."""
        self._missing = 0
        self._steps = 0
        """The newest step is the lowest bit: was it speech?"""

    @property
    def speaks(self) -> bool:
        """In this very step."""
        return self.short >= SPEECH_BANDS

    @property
    def is_audible(self) -> bool:
        """In this very step, perhaps the beginning of a word."""
        return self.short >= AUDIBLE_BANDS

    @property
    def noise(self) -> int:
        """Loudness of its noise floor."""
        return round(self._floor)

    def step(self, level: int | None, now: float) -> None:
        """The level of the loudest packet since the last step, 0..127 in -dBov; None: no packet came."""
        if level is not None:
            self._missing = 0
            self.loudness = FULL_SCALE - level
            self._floor = max(FLOOR_LOWEST, min(self._floor + FLOOR_RISE_DB, self.loudness))
        else:
            self._missing += 1
            if self._missing > HELD_STEPS:
                self.loudness = 0
        above = self.loudness >= self._floor + FLOOR_MARGIN_DB
        self.short = self.loudness // SUBBAND_DB if above else 0
        envelope = self.envelope - RELEASE_DB if self.envelope > RELEASE_DB else 0.0
        speech = False
        if self.short >= AUDIBLE_BANDS:
            self.heard_at = now
            envelope = max(envelope, self.loudness)
            if self.short >= SPEECH_BANDS:
                speech = True
                self.spoke_at = now
        self.envelope = envelope
        steps = self._steps = (self._steps << 1 | speech) & _LONG_MASK
        self.medium = _COUNTS[steps & _MEDIUM_MASK]
        self.long = _MEDIUMS[steps & _HALF_MASK] + _MEDIUMS[steps >> _HALF_STEPS]
