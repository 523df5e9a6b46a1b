"""What is received: SRTP streams of one publisher. Hot.

A RepairStream (RTX, RFC 4588) gives its packets back to their encoding; what comes both ways counts once.
"""

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag

from sfu.rtp import LayoutCache, strip_padding
from sfu.srtp import WINDOW, ReceiveKeys, ReplayWindow
from sfu.twcc import MAX_PENDING, ArrivalLog

if TYPE_CHECKING:
    from sfu.encoding import Encoding


class SrtpStream:
    """One SSRC of one publisher: decrypts, refuses what it has seen, notes arrivals and reads extensions."""

    __slots__ = (
        "_arrivals",
        "_decrypt",
        "_layouts",
        "_nonce",
        "failed",
        "highest",
        "keys",
        "payload_type",
        "replayed",
        "seen",
        "ssrc",
        "wrong_type",
    )

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        first_index: int,
        keys: ReceiveKeys,
        layouts: LayoutCache,
        arrivals: ArrivalLog,
    ) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.highest = first_index - 1
        self.seen = ReplayWindow().slots
        self.keys = keys
        self._decrypt = keys.decrypt
        self._nonce = keys.salt ^ ssrc << 48
        self._layouts = layouts
        self._arrivals = arrivals
        self.replayed = self.failed = self.wrong_type = 0

    def open(self, data: bytes, first: int, sequence: int, now: float) -> tuple[int, bytes, int] | None:
        """Index, payload (with padding) and video orientation or audio level (-1: none) of an SRTP packet; None: it is
        not to be used."""
        top = self.highest
        index = top + ((sequence - top + 32768) & 65535) - 32768
        behind = index <= top - WINDOW or index < 0
        if behind:
            index += 65536  # too old to be taken; or its sender jumped by more than half of the numbers: the tag tells
        if self.seen[index % WINDOW] == index:
            self.replayed += 1
            return None
        offset = 12 + 4 * (first & 15)
        size = 0
        if first & 16:
            if len(data) < offset + 4:
                self.failed += 1
                return None
            size = 4 * (data[offset + 2] << 8 | data[offset + 3])
            offset += 4 + size
        try:
            payload = self._decrypt((self._nonce ^ index).to_bytes(12, "big"), data[offset:], data[:offset])
        except InvalidTag:
            if behind:
                self.replayed += 1
            else:
                self.failed += 1
            return None
        octet = -1
        if size:
            transport_sequence, octet = self._layouts.read(data, offset - size, size)
            if transport_sequence >= 0:
                arrivals = self._arrivals.arrivals
                if len(arrivals) < MAX_PENDING:
                    arrivals.append((transport_sequence, now))
        return index, payload, octet


class RepairStream(SrtpStream):
    """Retransmissions of one encoding (RFC 4588): own SSRC and sequence, original number in front of the payload."""

    __slots__ = ("encoding", "probes", "repaired")

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        first_index: int,
        keys: ReceiveKeys,
        layouts: LayoutCache,
        arrivals: ArrivalLog,
        encoding: "Encoding",
    ) -> None:
        super().__init__(ssrc, payload_type, first_index, keys, layouts, arrivals)
        self.encoding = encoding
        self.repaired = self.probes = 0

    def receive(self, data: bytes, first: int, second: int, sequence: int, timestamp: int, now: float) -> None:
        opened = self.open(data, first, sequence, now)
        if opened is not None:
            self.take(opened, first, second, timestamp, now)

    def take(self, opened: tuple[int, bytes, int], first: int, second: int, timestamp: int, now: float) -> None:
        """What `open` gave, for the first time."""
        index, payload, octet = opened
        self.seen[index % WINDOW] = index
        self.highest = max(self.highest, index)
        if first & 0x20:
            payload = strip_padding(payload)
        if len(payload) < 3 or second & 0x7F != self.payload_type:
            self.probes += 1  # padding sent to probe for bandwidth
            return
        encoding = self.encoding
        top = encoding.highest
        original = top + (((payload[0] << 8 | payload[1]) - top + 32768) & 65535) - 32768
        encoding.missing.resent(original, now)
        if original <= top - WINDOW or original < 0 or encoding.seen[original % WINDOW] == original:
            encoding.replayed += 1
            return
        self.repaired += 1
        encoding.accept(original, second & 0x80, timestamp, payload[2:], 0, octet, now)
