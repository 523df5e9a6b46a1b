"""An encoding without its temporal layers above a limit, numbered anew: once for all viewers who take it. Hot.

What is missing when a later packet is numbered keeps a number, unless both its neighbours are of one frame that is left
out. If it turns out to be left out, the number is given to a packet of nothing but padding (RFC 3550 5.1), so that no
receiver waits for it. A number is given to one packet, and later packets have higher ones.

VP8's picture ids run on over frames that are left out: libwebrtc waits for a picture whose id is missing. A frame that
is missing as a whole keeps its id.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sfu.codecs.vp8_descriptor import NOTHING, Descriptor
from sfu.forwarding import Target, forward
from sfu.history import Packet
from sfu.rtp import JUMP

if TYPE_CHECKING:
    from sfu.encoding import Encoding

MAX_HOLES = 1024
"""Numbers that are kept for missing packets. Overflow: the oldest is forgotten, its packet is not sent any more."""

_PADDED = 0x2000
_PADDING = b"\1"


class LayerView:
    """To a subscription it is what an encoding is: `highest`, `next_number`, `delivered`, `sent`."""

    __slots__ = (
        "_holes",
        "_left_out",
        "_next",
        "closed",
        "delivered",
        "encoding",
        "highest",
        "history",
        "limit",
        "pictures_left_out",
        "targets",
    )

    def __init__(self, encoding: "Encoding", limit: int, first: int) -> None:
        """`first`: index of the first packet that it will be given."""
        self.encoding = encoding
        self.limit = limit
        """The highest temporal layer that is in it."""
        self.highest = -1
        """Number."""
        self.delivered: Packet | None = None
        """The last one, with its number here."""
        self.history = encoding.history.another()
        self.targets: list[Target] = []
        self.closed = 0
        """Numbers that were given to padding."""
        self.pictures_left_out = 0
        """By so much are picture ids lower here."""
        self._next = first
        self._holes: dict[int, tuple[int, int]] = {}
        """Index of a missing packet -> the number that is kept for it, and how many pictures were left out before."""
        self._left_out: int | None = None
        """Timestamp of the packet that was given last, if it was left out."""

    @property
    def next_number(self) -> int:
        return self.highest + 1

    def sent(self, number: int) -> Packet | None:
        """A packet that was forwarded, while it is remembered."""
        return self.history.get(number)

    def take(self, packets: Sequence[Packet]) -> None:
        """Forward packets in their order; repaired ones are not among them."""
        out: list[Packet] = []
        for packet in packets:
            index = packet.number
            if packet.descriptor.place.layer > self.limit:
                if packet.timestamp != self._left_out:
                    self.expect(index)
                    self.pictures_left_out += 1
                    self._left_out = packet.timestamp
            else:
                self.expect(index)
                self._left_out = None
                self.highest += 1
                out.append(self._put(packet, self.highest, self.pictures_left_out))
            self._next = index + 1
        if out:
            self.delivered = out[-1]
            if self.targets:
                forward(out, self.targets, self.encoding.is_vp8)

    def expect(self, index: int) -> None:
        """The next packet has this index: keep numbers for what is missing before it."""
        if self._next < index < self._next + JUMP:
            for missing in range(self._next, index):
                self.highest += 1
                self._holes[missing] = self.highest, self.pictures_left_out
            while len(self._holes) > MAX_HOLES:
                del self._holes[next(iter(self._holes))]
        elif index > self._next:
            self.highest += 1  # the sender began anew: one number stays out, so that receivers know
        self._next = max(self._next, index)

    def late(self, packet: Packet) -> None:
        """A repaired packet goes into the place that was kept for it."""
        hole = self._holes.pop(packet.number, None)
        if hole is None:
            return
        number, pictures_left_out = hole
        if packet.descriptor.place.layer > self.limit:
            self.closed += 1
            packet = Packet(number, _PADDED, packet.timestamp, _PADDING, b"", NOTHING, packet.arrival)
        copy = self._put(packet, number, pictures_left_out)
        targets = [target for target in self.targets if target[0].first_index <= number]
        if targets:
            forward((copy,), targets, self.encoding.is_vp8)

    @property
    def is_used(self) -> bool:
        """Somebody takes it, or may ask again for what it still waits for."""
        return bool(self.targets or self._holes)

    def forget(self, first_missing: int | None) -> None:
        """Of what is missing nothing before this index is waited for any more; None: nothing at all."""
        for index in [i for i in self._holes if first_missing is None or i < first_missing]:
            del self._holes[index]

    def _put(self, packet: Packet, number: int, pictures_left_out: int) -> Packet:
        d = packet.descriptor
        if d.picture_mask and pictures_left_out:
            d = Descriptor(
                d.size_bytes,
                d.fixed,
                d.picture_id - pictures_left_out,
                d.picture_mask,
                d.picture_shift,
                d.tl0,
                d.tl0_mask,
                d.tl0_shift,
                d.place,
            )
        copy = Packet(number, packet.first, packet.timestamp, packet.payload, packet.extension, d, packet.arrival)
        self.history.put(copy)
        return copy
