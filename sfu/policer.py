"""How much one connection may send us: a token bucket in octets (RFC 2697 with one bucket). A core in given time.

The packet path only adds to a counter and compares it with `allowed`; the bucket is filled once per tick. What exceeds
it is dropped before decryption and costs the node the reading of the datagram only.
"""

BURST_S = 1.0
"""What may come at once: a key frame of each layer after a stall of the network or of this process."""


class Policer:
    __slots__ = ("_burst_octets", "_filled", "_octets_per_s", "allowed")

    def __init__(self, bps: int, now: float) -> None:
        self._octets_per_s = bps / 8
        self._burst_octets = int(self._octets_per_s * BURST_S)
        self._filled = now
        self.allowed = self._burst_octets
        """The counter of what was taken may grow up to this."""

    def fill(self, taken: int, now: float) -> int:
        """Time has passed; `taken`: octets let through since the beginning. The new value of `allowed`."""
        earned = int((now - self._filled) * self._octets_per_s)
        if earned > 0:
            self._filled += earned / self._octets_per_s
            self.allowed = min(self.allowed + earned, taken + self._burst_octets)
        return self.allowed
