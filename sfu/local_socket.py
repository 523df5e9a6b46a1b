"""One local address of the media port, of one protocol: which peers passed a connectivity check there, and sending.

Guarantees: an address that one peer checked a moment ago is not given to another.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from sfu.ice import Address

CLAIM_S = 6.0
"""Two intervals of Chromium's checks of a stable pair (2.5 s), and a little."""


class LocalSocket(ABC):
    def __init__(self) -> None:
        self.media: dict[Address, Callable[[bytes, float], None]] = {}
        """Validated address -> receiver of its SRTP and SRTCP."""
        self.dtls: dict[Address, Callable[[bytes], None]] = {}
        self._claims: dict[Address, tuple[object, float]] = {}
        """Validated address -> whose, and when it was checked last. As long as the other two, see `forget`."""
        self.received = self.wakeups = self.sent = self.sends = 0
        self.refused_claims = 0
        self.dropped_size = self.dropped_source = self.dropped_kind = self.dropped_send = 0

    def claim(self, address: Address, owner: object, now: float) -> bool:
        """`owner` passed a check from this address. False: it is somebody else's who checked it a moment ago, so that a
        participant who forges another one's source address takes nothing over."""
        held = self._claims.get(address)
        if held is not None and held[0] is not owner and now - held[1] < CLAIM_S:
            self.refused_claims += 1
            return False
        self._claims[address] = (owner, now)
        return True

    def forget(self, address: Address) -> None:
        """The address is nobody's any more."""
        self._claims.pop(address, None)
        self.media.pop(address, None)
        self.dtls.pop(address, None)

    @abstractmethod
    def start(self, loop: asyncio.AbstractEventLoop) -> None: ...

    @abstractmethod
    def close(self, loop: asyncio.AbstractEventLoop) -> None: ...

    @abstractmethod
    def send(self, data: bytes, address: Address) -> bool:
        """Send one datagram; False if it was dropped."""

    @abstractmethod
    def send_run(self, buffers: list[bytes], count: int, address: Address) -> None:
        """Send `count` packets of equal size (the last may be shorter), each two buffers: header and text."""
