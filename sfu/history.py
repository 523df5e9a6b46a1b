"""The packets of one encoding kept for retransmission, sized by time. A core.

A ring of a power of two that doubles when a packet would be overwritten before its time.
"""

import msgspec

from sfu.codecs.vp8_descriptor import Descriptor

FIRST_SLOTS = 64


class Packet(msgspec.Struct, frozen=True, gc=False):
    """An accepted packet as the forwarding path needs it. `first`: marker bit and padding bit in their places in the
    first 16 bits of an RTP header.

    Not seen by the garbage collector: histories hold ten thousands of these, and each of its full passes would stop
    the media for as many."""

    number: int
    """Extended sequence number."""
    first: int
    timestamp: int
    payload: bytes
    """With its padding, if the padding bit is set."""
    extension: bytes
    """Header extension block for viewers, or empty."""
    descriptor: Descriptor
    arrival: float


class History:
    __slots__ = ("_keep_s", "_mask", "_max_slots", "_slots")

    def __init__(self, keep_s: float, max_packets: int) -> None:
        """Keeps a packet for `keep_s`, and at most `max_packets`, rounded down to a power of two, but at least
        FIRST_SLOTS. Overflow: the oldest goes early."""
        self._keep_s = keep_s
        self._max_slots = max_packets
        self._slots: list[Packet | None] = [None] * FIRST_SLOTS
        self._mask = FIRST_SLOTS - 1

    def another(self) -> "History":
        """An empty one with the same bounds."""
        return History(self._keep_s, self._max_slots)

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, packet: Packet) -> None:
        """Keep a packet; hot."""
        index = packet.number
        slots = self._slots
        old = slots[index & self._mask]
        if (
            old is not None
            and packet.arrival - old.arrival < self._keep_s
            and old.number != index
            and 2 * len(slots) <= self._max_slots
        ):
            self._grow()
            self.put(packet)
            return
        slots[index & self._mask] = packet

    def get(self, index: int) -> Packet | None:
        packet = self._slots[index & self._mask]
        return packet if packet is not None and packet.number == index else None

    def _grow(self) -> None:
        packets = [p for p in self._slots if p is not None]
        size = 2 * len(self._slots)
        self._slots = [None] * size
        self._mask = size - 1
        for packet in packets:
            self._slots[packet.number & self._mask] = packet
