"""Compares the packets of a file with the frames that a page's encoder sent: what is missing, what nobody sent.

A core on plain numbers. Frames are known by a checksum of their bytes, so that a match says that a frame is there, in
order, and unchanged; times are compared apart from that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SEARCH = 300
"""Frames looked ahead for the next one of the file: more than a test ever loses in a row."""


@dataclass(frozen=True)
class Match:
    pairs: tuple[tuple[int, int], ...]
    """(index among the sent frames, index in the file), both growing."""
    missing: tuple[int, ...]
    """Sent frames between the first and the last pair that the file lacks."""
    extra: tuple[int, ...]
    """Packets of the file that nobody sent, or not there."""

    @property
    def first(self) -> int:
        """The sent frame that the file begins with."""
        return self.pairs[0][0]


def seconds(timestamps: Sequence[int], clock_rate_hz: int) -> list[float]:
    """RTP timestamps (32 bits, in sending order) as seconds since the first."""
    total, times = 0, []
    for number, timestamp in enumerate(timestamps):
        if number:
            total += ((timestamp - timestamps[number - 1] + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31)
        times.append(total / clock_rate_hz)
    return times


def match(sent: Sequence[int], file: Sequence[int]) -> Match:
    """Find the packets of a file, in order, among the sent frames; both as checksums.

    Silence may be sent twice with the same bytes, so of all places where the file may begin the best is taken.
    """
    begins = [index for index, checksum in enumerate(sent) if file and checksum == file[0]]
    fits = [_walk(sent, file, begin) for begin in begins]
    return min(fits, key=lambda fit: len(fit.missing) + len(fit.extra), default=Match((), (), tuple(range(len(file)))))


def _walk(sent: Sequence[int], file: Sequence[int], begin: int) -> Match:
    pairs: list[tuple[int, int]] = []
    missing: list[int] = []
    extra: list[int] = []
    at = begin
    for number, checksum in enumerate(file):
        found = next((index for index in range(at, min(at + SEARCH, len(sent))) if sent[index] == checksum), None)
        if found is None:
            extra.append(number)
            continue
        missing += range(at, found)
        pairs.append((found, number))
        at = found + 1
    return Match(tuple(pairs), tuple(missing), tuple(extra))
