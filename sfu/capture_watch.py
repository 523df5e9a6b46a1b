"""Whether what is recorded of a microphone or camera still comes from its device. A core; times are monotonic seconds.

A capture has stalled when for WINDOW_S, while the track is not muted, no packet of it comes although something else of
its sender does, or packets come whose RTP time goes less than half as fast as time. A sender of whom nothing at all is
heard has lost its network, which is not the device's fault. The first packets are waited for without end.
"""

from collections import deque
from typing import NamedTuple

WINDOW_S = 2.0
ADVANCE = 0.5
"""Of the window: how far RTP time must have gone on. A device's clock is exact to a thousandth."""
PAUSE_S = 0.6
"""After a longer pause a capture is judged anew: some senders' RTP time stands still meanwhile. Sound with DTX pauses
for 0.4 s."""
ALIVE_S = 0.25
"""What is heard so long after the last packet of the track shows that its sender is there."""
JUMP_S = 10.0
"""An RTP time that is further off is that of a clock that was set anew."""


class Seen(NamedTuple):
    """One look at a recorded track, a few times a second."""

    muted: bool
    heard: int
    """Grows with whatever comes from its sender on the same connection."""
    packets: int
    """Of all its streams."""
    stream: tuple[int, int, int] | None
    """Of one that is sent in one stream: its SSRC, the RTP timestamp of its newest packet, its clock rate in Hz."""


class CaptureWatch:
    """Of one track."""

    def __init__(self) -> None:
        self.stalled = False
        self.since = 0.0
        """When it stalled."""
        self._looks: deque[tuple[float, Seen]] = deque()
        """Those of the last WINDOW_S and the one before them, since it was judged anew: ten looks at four a second."""
        self._grew = 0.0
        """When a packet came last."""
        self._heard_then: int | None = None
        """`heard`, ALIVE_S after that."""

    def look(self, seen: Seen, now: float) -> bool:
        """Whether it has stalled."""
        before = self._looks[-1][1] if self._looks else None
        grew = before is None or seen.packets != before.packets
        if seen.muted or not seen.packets or self._is_another(before, seen) or (grew and now - self._grew > PAUSE_S):
            self._looks.clear()
            self.stalled = False
            grew = True
        if grew:
            self._grew, self._heard_then = now, None
        elif self._heard_then is None and now - self._grew >= ALIVE_S:
            self._heard_then = seen.heard
        self._looks.append((now, seen))
        while len(self._looks) > 1 and now - self._looks[1][0] >= WINDOW_S:
            self._looks.popleft()
        begin, first = self._looks[0]
        if now - begin >= WINDOW_S:
            self._judge(seen, first, begin, now, grew)
        return self.stalled

    def _judge(self, seen: Seen, first: Seen, begin: float, now: float, grew: bool) -> None:
        if seen.packets == first.packets:
            stalled = self._heard_then is not None and seen.heard != self._heard_then
            since = self._grew
        else:
            if not grew:
                return  # it may have ended just now, which is judged when the window is over
            stalled = _advanced_s(first, seen) < ADVANCE * (now - begin)
            since = begin
        if stalled and not self.stalled:
            self.since = since
        self.stalled = stalled or (self.stalled and seen.packets == first.packets)

    def _is_another(self, before: Seen | None, seen: Seen) -> bool:
        """Its stream is not the one of before, or that one's clock was set anew."""
        if before is None or before.stream is None or seen.stream is None:
            return before is not None and before.stream is not seen.stream
        return before.stream[0] != seen.stream[0] or abs(_advanced_s(before, seen)) > JUMP_S


def _advanced_s(before: Seen, seen: Seen) -> float:
    """How far RTP time went; of a track in several streams that is not looked at."""
    if before.stream is None or seen.stream is None:
        return float("inf")
    ticks = ((seen.stream[1] - before.stream[1] + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
    return ticks / seen.stream[2]
