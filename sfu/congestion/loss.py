"""Bound of the rate by loss (draft-ietf-rmcat-gcc-02, 6), made for paths that lose at random.

Above 10 % it goes down by half the loss, below 2 % up by 8 % a second, in between slowly up. If the rate was halved and
as much less arrives, the loss is none of this sender's making (a radio link), and the bound stays there; if as much
arrives as before, the path takes no more, and the bound goes on down.
"""

LOW, HIGH = 0.02, 0.10
"""Draft, 6."""

ENOUGH_PACKETS, ENOUGH_S = 200, 1.0
"""A loss fraction is taken from at least so many packets, or this long and MIN_PACKETS."""
MIN_PACKETS = 20

GROWTH_PER_S, SLOW_GROWTH_PER_S = 1.08, 1.03
"""Below LOW, and between LOW and HIGH."""

AS_BEFORE = 0.7
"""At half the rate more than this share of what arrived before still arrives: the path is full."""

WORSE, SMOOTHING = 1.5, 0.25
"""If loss, smoothed, becomes more than this times what it was when the bound was left where it is, it begins anew."""

ENDED = 0.8
"""Loss below this share of HIGH ends what began with heavy loss."""

_NONE = float("inf")


class LossBound:
    __slots__ = (
        "_began_arriving_bps",
        "_began_bps",
        "_heavy",
        "_intervals",
        "_left_at",
        "_lost",
        "_received",
        "_since",
        "bps",
        "fraction",
    )

    def __init__(self) -> None:
        self.bps = _NONE
        self.fraction = 0.0
        """Of the last interval that was long enough."""
        self._received = self._lost = 0
        self._since: float | None = None
        self._began_bps = self._began_arriving_bps = 0.0
        """When the heavy loss began that goes on; 0: none does. Of its second interval, because what arrives during the
        first is still of the time before."""
        self._intervals = 0
        """Of that loss."""
        self._heavy = 0.0
        """Smoothed, of that loss,"""
        self._left_at = 0.0
        """and when it was found not to be ours; 0: it was not."""

    def note(self, received: int, lost: int, now: float) -> bool:
        """So many packets were settled. True: enough for `update`."""
        if self._since is None:
            self._since = now
        self._received += received
        self._lost += lost
        packets = self._received + self._lost
        return packets >= ENOUGH_PACKETS or (packets >= MIN_PACKETS and now - self._since >= ENOUGH_S)

    def update(self, target_bps: float, arriving_bps: float, now: float) -> None:
        """`target_bps` is what was allowed meanwhile, and `arriving_bps` came."""
        packets = self._received + self._lost
        passed_s = now - self._since if self._since is not None else 0.0
        self.fraction = fraction = self._lost / packets
        self._received = self._lost = 0
        self._since = now
        # Beyond doubt: 10 % of random loss must not look like more half of the time.
        if fraction - (fraction * (1 - fraction) / packets) ** 0.5 > HIGH:
            self._decrease(target_bps, arriving_bps, fraction)
        else:
            if fraction < ENDED * HIGH:
                self._began_bps = 0.0
            growth = GROWTH_PER_S if fraction < LOW else SLOW_GROWTH_PER_S if fraction < HIGH else 1.0
            self.bps *= growth ** min(passed_s, ENOUGH_S)

    def raise_to(self, bps: float) -> None:
        """A probe went through at this rate. Under heavy loss that proves little."""
        if not self._began_bps:
            self.bps = max(self.bps, bps)

    def _decrease(self, target_bps: float, arriving_bps: float, fraction: float) -> None:
        self._heavy = self._heavy + SMOOTHING * (fraction - self._heavy) if self._began_bps else fraction
        if not self._began_bps or (self._left_at and self._heavy > WORSE * self._left_at):
            self._intervals, self._left_at = 0, 0.0
        self._intervals += 1
        if self._intervals <= 2:
            self._began_bps, self._began_arriving_bps = target_bps, arriving_bps
        lowered = min(self.bps, target_bps) * (1 - 0.5 * fraction)
        if lowered >= self._began_bps / 2 or arriving_bps > AS_BEFORE * self._began_arriving_bps:
            self.bps = lowered
        elif not self._left_at:
            self._left_at = self._heavy
