"""What a host must hear of while there is time to do something: a microphone that gives nothing or is far too loud, a
camera that is black or stands still. Cores, told by the probes of the file; positions are nanoseconds since its begin.

A microphone that is switched off at the device or in the system gives exact zeros, and only these are silence here. Out
of Opus they come as something tiny that is the same all the time (0, or 0.67 of the smallest step of 16 bits in hybrid
mode), while the faintest noise of a live one (a sixty-fourth of that step was tried) differs by some per cent from one
tenth of a second to the next. Speakers pause for some seconds, and processing in browsers may make zeros of that;
SILENCE_NS is longer. Of pictures key frames alone are decoded; the node asks for one when frames get small
(sfu.stillness).
"""

from collections import deque

import numpy as np
import numpy.typing as npt

from recorder.health import FindingCode

SILENCE_NS = 15_000_000_000
ZERO = 1 / 32_768
"""Amplitude above which there is sound."""
SAME_PEAK = ZERO / 1000
"""By which the peaks of two tenths of a second of zeros may differ."""
LONG_GAP_NS = 1_000_000_000
"""Behind a longer one silence is counted anew: nobody knows what was in it."""
CLIPPING_WINDOW_NS = 10_000_000_000
CLIPPING_SHARE = 0.001
"""Of the samples of the window: distorted for everybody to hear. Below a fifth of it, it is over."""
BLACK_NS = 8_000_000_000
FROZEN_NS = 8_000_000_000
"""Between the first and the last key frame that is so; they come 10 s apart."""
SAME_MEAN = 0.4
SAME_MOST = 10
"""Of 256: how far two small pictures may differ that are the same one, encoded twice: on the mean, and at any place. In
Chromium 0.26 and 6 were seen. Somebody who sits there differs by more, an empty chair may not."""

Small = npt.NDArray[np.uint8]


class SoundWatch:
    def __init__(self) -> None:
        self.muted = False
        self._end_ns = 0
        self._silent_since: int | None = None
        self._peak = 0.0
        """Of the block before."""
        self._clipped: deque[tuple[int, int, int]] = deque()
        """Begin of each tenth of a second of the window, its samples and how many of them are clipped."""
        self._samples = self._clipped_samples = 0
        self._clipping_since: int | None = None

    def mute(self, muted: bool) -> None:
        self.muted = muted
        self._silent_since = None

    def block(self, at_ns: int, end_ns: int, peak: float, samples: int, clipped: int) -> None:
        """The next tenth of a second or less, of all channels: `peak` is its amplitude."""
        gap_ns = at_ns - self._end_ns
        self._end_ns = end_ns
        change, self._peak = abs(peak - self._peak), peak
        if peak > ZERO or change > SAME_PEAK or self.muted or gap_ns > LONG_GAP_NS:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = at_ns
        self._clipped.append((at_ns, samples, clipped))
        self._samples += samples
        self._clipped_samples += clipped
        while self._clipped[0][0] < end_ns - CLIPPING_WINDOW_NS:
            _, old, old_clipped = self._clipped.popleft()
            self._samples -= old
            self._clipped_samples -= old_clipped
        share = self._clipped_samples / max(self._samples, 1)
        if self._clipping_since is None:
            full = end_ns - self._clipped[0][0] >= 0.95 * CLIPPING_WINDOW_NS
            if full and share >= CLIPPING_SHARE and not self.muted:
                self._clipping_since = self._clipped[0][0]
        elif share < CLIPPING_SHARE / 5 or self.muted:
            self._clipping_since = None

    def findings(self) -> dict[FindingCode, int]:
        """What is wrong at present, with for how long. From any thread."""
        found = {}
        silent, clipping, end_ns = self._silent_since, self._clipping_since, self._end_ns
        if silent is not None and end_ns - silent >= SILENCE_NS:
            found[FindingCode.SILENCE] = end_ns - silent
        if clipping is not None:
            found[FindingCode.CLIPPING] = end_ns - clipping
        return found


class PictureWatch:
    def __init__(self) -> None:
        self.muted = False
        self._end_ns = 0
        self._black_since: int | None = None
        self._black_until = 0
        self._picture: Small | None = None
        """The first of those that are the same."""
        self._picture_at = self._picture_until = 0

    def mute(self, muted: bool) -> None:
        self.muted = muted
        self._black_since = self._picture = None

    def frame(self, at_ns: int) -> None:
        self._end_ns = at_ns

    def picture(self, at_ns: int, small: Small, black: bool) -> None:
        """The key frame that was told last, scaled down to one byte of luma a place."""
        if not black or self.muted:
            self._black_since = None
        elif self._black_since is None:
            self._black_since = at_ns
        self._black_until = at_ns
        if self.muted or self._picture is None or not _same(self._picture, small):
            self._picture, self._picture_at = small, at_ns
        self._picture_until = at_ns

    def findings(self) -> dict[FindingCode, int]:
        """What is wrong at present, with for how long; of a black picture not that it is frozen. From any thread."""
        black, end_ns = self._black_since, self._end_ns
        if black is not None:
            return {FindingCode.BLACK: end_ns - black} if self._black_until - black >= BLACK_NS else {}
        if self._picture is not None and self._picture_until - self._picture_at >= FROZEN_NS:
            return {FindingCode.FROZEN: end_ns - self._picture_at}
        return {}


def _same(one: Small, other: Small) -> bool:
    differences = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return bool(differences.mean() <= SAME_MEAN and differences.max() <= SAME_MOST)
