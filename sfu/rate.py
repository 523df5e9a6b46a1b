"""How fast a counter grows. A core in given time.

`Rate` is for whoever looks now and then; `Meter` is read several times a second and decides what a viewer is sent.
"""

from collections import deque

MIN_INTERVAL_S = 1.0
"""Readers that come sooner get the value of before."""


class Rate:
    __slots__ = ("_at", "_count", "_value")

    def __init__(self) -> None:
        self._at: float | None = None
        self._count = 0
        self._value = 0.0

    def update(self, count: int, now: float) -> float:
        """Counts per second since the reading before, given the counter now."""
        if self._at is None:
            self._at, self._count = now, count
        elif now - self._at >= MIN_INTERVAL_S:
            self._value = (count - self._count) / (now - self._at)
            self._at, self._count = now, count
        return self._value


WINDOW_S = 1.0
"""Of a `Meter`: two seconds of video would hide a change of layers, half a second is moved by one key frame."""

READINGS = 64
"""Kept by a `Meter`; more would be forgotten early. At four a second five are there."""


class Meter:
    """The mean of the last WINDOW_S."""

    __slots__ = ("_readings", "bps")

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque(maxlen=READINGS)
        self.bps = 0.0

    def read(self, octets: int, now: float) -> None:
        """The counter stands at `octets` now."""
        readings = self._readings
        while len(readings) > 1 and now - readings[1][0] >= WINDOW_S:
            readings.popleft()
        if readings and now > readings[0][0]:
            at, before = readings[0]
            self.bps = 8 * (octets - before) / (now - at)
        readings.append((now, octets))
