"""A line of a raw peer's: everything takes its time in both directions, and media is lost on the way, by seed.

Unlike `tests.support.proxy` it needs no socket of its own, and knows no rate and no disorder.
"""

import asyncio
import random

from tests.support.proxy import is_media
from tests.support.raw_transport import RawTransport


class SlowLine:
    def __init__(self, delay_s: float, loss: float, seed: int) -> None:
        """`delay_s`: one way; `loss`: share of the media datagrams, in each direction."""
        self.lost = 0
        self._delay_s = delay_s
        self._loss = loss
        self._chance = random.Random(seed)

    def lies_before(self, transport: RawTransport) -> None:
        """From now on. The transport is connected."""
        send, take = transport.send_datagram, transport.take
        later = asyncio.get_running_loop().call_later

        def send_late(datagram: bytes) -> bool:
            if self._passes(datagram):
                later(self._delay_s, send, datagram)
            return True

        def take_late(datagram: bytes) -> None:
            if self._passes(datagram):
                later(self._delay_s, take, datagram)

        transport.send_datagram = send_late  # type: ignore[method-assign]
        transport.take = take_late  # type: ignore[method-assign]

    def _passes(self, datagram: bytes) -> bool:
        lost = self._loss > 0 and is_media(datagram) and self._chance.random() < self._loss
        self.lost += lost
        return not lost
