"""When a recorded camera is asked for a key frame to see whether it is black or stands still. A core.

Recorders look at key frames alone, and browsers may send none for minutes. Frames that get small are those of a picture
in which nothing moves, or nothing is to be seen: then, and when they are large again, a key frame is asked for, at most
one in INTERVAL_S. It costs viewers little: hardly anything else is sent then.
"""

import math
from collections import deque

WINDOW_S = 2.0
INTERVAL_S = 10.0
FEW_FRAMES = 4
"""In the window: with fewer the network holds the sender back, and a key frame would not help."""
SMALL_BYTES = 250
"""Mean payload of a frame: nothing moves in it, whatever its size and codec."""
SMALL_SHARE = 0.25
"""Of the largest mean of late: a covered lens shows noise."""
FORGET_S = 60.0
"""Time constant with which that one is forgotten."""


class Stillness:
    """Of one camera, looked at a few times a second."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, int]] = deque()
        """When, octets and frames until then; WINDOW_S and one more, since the last key frame."""
        self._key_frames = -1
        self._largest = 0.0
        self._largest_at = 0.0
        self._small = False
        self._wanted = False
        self._asked = -INTERVAL_S

    def look(self, octets: int, frames: int, key_frames: int, now: float) -> bool:
        """Counters of what came; whether to ask for a key frame now."""
        if key_frames != self._key_frames or (self._looks and frames < self._looks[-1][2]):
            self._key_frames = key_frames  # it is large whatever it shows
            self._looks.clear()
        self._looks.append((now, octets, frames))
        while len(self._looks) > 1 and now - self._looks[1][0] >= WINDOW_S:
            self._looks.popleft()
        began, octets_then, frames_then = self._looks[0]
        if now - began >= WINDOW_S and frames - frames_then >= FEW_FRAMES:
            self._judge((octets - octets_then) / (frames - frames_then), now)
        if (self._wanted or self._small) and now - self._asked >= INTERVAL_S:
            self._asked, self._wanted = now, False
            return True
        return False

    def _judge(self, mean: float, now: float) -> None:
        self._largest = max(mean, self._largest * math.exp((self._largest_at - now) / FORGET_S))
        self._largest_at = now
        small = mean < SMALL_BYTES or mean < SMALL_SHARE * self._largest
        self._wanted = self._wanted or (self._small and not small)
        self._small = small
