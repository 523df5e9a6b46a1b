"""Merging and throttling of key frame requests towards one encoding. A core in given time."""

INTERVAL_S = 0.5
"""At most one request per encoding in this time: a key frame costs the publisher several frames' worth of bits."""


class KeyFrameRequests:
    """Any number of wishes become one request per interval; a wish inside the interval is kept until it ends.

    A wish is fulfilled by the next key frame; until then the request is repeated every interval.
    """

    __slots__ = ("_last", "_wanted", "sent")

    def __init__(self) -> None:
        self._last = -INTERVAL_S
        self._wanted = False
        self.sent = 0

    def want(self) -> None:
        self._wanted = True

    def arrived(self) -> None:
        """A key frame began."""
        self._wanted = False

    def due(self, now: float) -> bool:
        """True if a request is to be sent now (and counts it as sent)."""
        if not self._wanted or now - self._last < INTERVAL_S:
            return False
        self._last = now
        self.sent += 1
        return True
