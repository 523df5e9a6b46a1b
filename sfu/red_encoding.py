"""An encoding of sound that comes as RED (RFC 2198): forwarded as RED to viewers who took it, as plain Opus to all
others; recordings and the history have plain Opus. Hot.

Whatever a viewer gets, a packet has the same number: it is sent once, in one form.
"""

from collections.abc import Sequence

from sfu.codecs.red import primary, relabelled
from sfu.encoding import Encoding
from sfu.forwarding import OVERHEAD_BYTES, Target, forward
from sfu.history import History, Packet
from sfu.interfaces import StreamInfo
from sfu.rtp import LayoutCache, strip_padding
from sfu.srtp import WINDOW, ReceiveKeys
from sfu.twcc import ArrivalLog


class RedEncoding(Encoding):
    __slots__ = ("_blocks", "_earlier_octets", "_plain_targets", "_red_targets", "_split", "red_payload_type")

    def __init__(
        self,
        info: StreamInfo,
        first_index: int,
        keys: ReceiveKeys,
        layouts: LayoutCache,
        arrivals: ArrivalLog,
        touched: list[Encoding],
        history: History,
        red_payload_type: int,
    ) -> None:
        """`info`: of the Opus in it."""
        super().__init__(info, first_index, keys, layouts, arrivals, touched, history)
        self.red_payload_type = red_payload_type
        self._blocks: dict[int, bytes] = {}
        """RED payloads of packets that wait for the end of the wakeup, by index."""
        self._earlier_octets = 0
        """Of what RED carries beside the newest packets."""
        self._split: list[Target] | None = None
        """The targets that the two lists below were made of."""
        self._plain_targets: list[Target] = []
        self._red_targets: dict[int, list[Target]] = {}
        """By the payload type that the viewers know Opus by; most pages have the same."""

    def receive(self, data: bytes, first: int, second: int, sequence: int, timestamp: int, now: float) -> None:
        opened = self.open(data, first, sequence, now)
        if opened is None:
            return
        if second & 0x7F not in (self.payload_type, self.red_payload_type):
            self.seen[opened[0] % WINDOW] = opened[0]
            self.wrong_type += 1
            return
        self.take(opened, first, second, timestamp, now)

    def take(self, opened: tuple[int, bytes, int], first: int, second: int, timestamp: int, now: float) -> None:
        """As of Encoding; both forms are taken."""
        if second & 0x7F == self.payload_type:
            super().take(opened, first, second, timestamp, now)
            return
        index, payload, octet = opened
        blocks = strip_padding(payload) if first & 0x20 else payload
        opus = primary(blocks, self.payload_type)
        if opus is None:
            self.wrong_type += 1  # its number is kept, nothing else is passed on
            opus = b""
        else:
            self._blocks[index] = blocks
            self._earlier_octets += len(blocks) - len(opus)
        self.accept(index, second & 0x80, timestamp, opus, 0, octet, now)

    def measure(self, now: float) -> None:
        """Of RED, which most viewers get."""
        self.meter.read(self.octets + self._earlier_octets + OVERHEAD_BYTES * self.packets, now)

    def _deliver(self, packets: Sequence[Packet]) -> None:
        self.delivered = packets[-1]
        for packet in packets:
            self._send(packet, self.targets)

    def _forward_late(self, packet: Packet) -> None:
        self._send(packet, [target for target in self.targets if target[0].first_index <= packet.number])

    def _send(self, packet: Packet, targets: list[Target]) -> None:
        blocks = self._blocks.pop(packet.number, None)
        if targets is not self._split:
            self._split = targets
            self._plain_targets = [target for target in targets if not target[0].red_payload_type]
            self._red_targets = {}
            for target in targets:
                subscription = target[0]
                if subscription.red_payload_type:
                    known = self._red_targets.setdefault(subscription.payload_type, [])
                    known.append(subscription.target(subscription.red_payload_type))
        if blocks is None:
            _forward(packet, targets)
            return
        _forward(packet, self._plain_targets)
        for payload_type, red_targets in self._red_targets.items():
            red = Packet(
                packet.number,
                packet.first,
                packet.timestamp,
                relabelled(blocks, payload_type),
                packet.extension,
                packet.descriptor,
                packet.arrival,
            )
            _forward(red, red_targets)


def _forward(packet: Packet, targets: Sequence[Target]) -> None:
    if targets:
        forward((packet,), targets, False)
