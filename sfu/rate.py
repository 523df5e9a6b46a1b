"""Bits per second of a byte counter that is read now and then. A core in given time."""

MIN_INTERVAL_S = 1.0
"""Readers that come sooner get the value of before."""


class Rate:
    __slots__ = ("_at", "_octets", "_value")

    def __init__(self) -> None:
        self._at: float | None = None
        self._octets = 0
        self._value = 0.0

    def update(self, octets: int, now: float) -> float:
        """The rate since the reading before, given the counter now."""
        if self._at is None:
            self._at, self._octets = now, octets
        elif now - self._at >= MIN_INTERVAL_S:
            self._value = 8 * (octets - self._octets) / (now - self._at)
            self._at, self._octets = now, octets
        return self._value
