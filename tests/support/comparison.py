"""Compares the packets of a file with the frames that a page's encoder sent: what is missing, what nobody sent.

A core on plain numbers. A file's clock starts at its own first packet and a container rounds to milliseconds, so the
two are laid over each other first: the file must begin at some sent frame, and the one with the best fit near the
expected moment is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE_S = 0.003
"""Both ends of a difference are rounded to 1 ms; frames are at least 20 ms apart."""
SEARCH_S = 2.5
"""How far from the expected moment the first frame is looked for."""


@dataclass(frozen=True)
class Match:
    first: int
    """Index of the sent frame that the file begins with."""
    last: int
    """Index of the last sent frame that is in the file."""
    missing: tuple[int, ...]
    """Sent frames between these two that the file lacks."""
    extra: tuple[float, ...]
    """Times in the file at which nobody sent a frame."""

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.extra)


def seconds(timestamps: Sequence[int], clock_rate_hz: int) -> list[float]:
    """RTP timestamps (32 bits, in sending order) as seconds since the first."""
    total, times = 0, []
    for number, timestamp in enumerate(timestamps):
        if number:
            total += ((timestamp - timestamps[number - 1] + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31)
        times.append(total / clock_rate_hz)
    return times


def match(sent_s: Sequence[float], file_s: Sequence[float], expected_s: float) -> Match:
    """Lay a file over what was sent. `expected_s`: where in `sent_s` the file's first packet should be, about."""
    candidates = [index for index, time_s in enumerate(sent_s) if abs(time_s - expected_s) < SEARCH_S]
    assert candidates, f"nothing was sent within {SEARCH_S} s of {expected_s:.3f} s"
    fits = [_fit(sent_s, file_s, first) for first in candidates]
    return min(fits, key=lambda fit: (fit.faults, abs(sent_s[fit.first] - expected_s)))


def _fit(sent_s: Sequence[float], file_s: Sequence[float], first: int) -> Match:
    shift_s = sent_s[first] - file_s[0]
    index, last = first, first
    missing: list[int] = []
    extra: list[float] = []
    for time_s in file_s:
        while index < len(sent_s) and sent_s[index] < time_s + shift_s - TOLERANCE_S:
            missing.append(index)
            index += 1
        if index < len(sent_s) and sent_s[index] <= time_s + shift_s + TOLERANCE_S:
            last = index
            index += 1
        else:
            extra.append(time_s)
    return Match(first, last, tuple(number for number in missing if number < last), tuple(extra))
