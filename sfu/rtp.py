"""RTP headers and header extensions (RFC 3550 5.1, RFC 8285): reading, never raising on bad input.

Sequence numbers and timestamps are unwrapped to integers that only grow with the stream, so that every later
computation is plain arithmetic.
"""

import struct
from collections.abc import Callable

HEADER = struct.Struct("!BBHII")
"""First byte (version, padding, extension, CSRC count), marker and payload type, sequence number, timestamp, SSRC."""

HEADER_BYTES = 12
MAX_DATAGRAM_BYTES = 1500
"""Longer datagrams are dropped: no browser sends them (RFC 8834 keeps packets under the path MTU)."""

JUMP = 3000
"""A sequence number this far ahead is a new start of the sender, not a hole to be filled (RFC 3550 A.1)."""

PADDING_BIT = 0x20
EXTENSION_BIT = 0x10
MARKER_BIT = 0x80

ONE_BYTE_PROFILE = 0xBEDE
MAX_LAYOUTS = 8
"""Arrangements of extensions remembered per stream; Chromium uses two or three. Overflow: forget all, start anew."""


def unwrap(value: int, reference: int, bits: int = 16) -> int:
    """The integer congruent to `value` modulo 2**bits that is nearest to `reference`."""
    half = 1 << (bits - 1)
    return reference + ((value - reference + half) & ((1 << bits) - 1)) - half


def strip_padding(payload: bytes) -> bytes:
    """Payload of a packet whose padding bit is set, without the padding; empty when its length byte is a lie."""
    count = payload[-1] if payload else 0
    return payload[:-count] if 0 < count <= len(payload) else b""


def read_extensions(block: bytes, profile: int) -> dict[int, bytes]:
    """Elements of a header extension block by id, both the one-byte and the two-byte form (RFC 8285 4.2, 4.3).

    What overruns the block ends the reading; the elements before it stand.
    """
    found: dict[int, bytes] = {}
    position, end = 0, len(block)
    one_byte = profile == ONE_BYTE_PROFILE
    if not one_byte and profile & 0xFFF0 != 0x1000:
        return found
    while position < end:
        first = block[position]
        if first == 0:
            position += 1
            continue
        if one_byte:
            identifier, size = first >> 4, (first & 15) + 1
            if identifier in (0, 15):  # padding has no length, and 15 is reserved: both end the reading
                break
            position += 1
        else:
            if position + 2 > end:
                break
            identifier, size = first, block[position + 1]
            position += 2
        if position + size > end:
            break
        found[identifier] = block[position : position + size]
        position += size
    return found


class Layout:
    """One arrangement of one-byte extensions, so that the values of interest are read by one precompiled unpack.

    `unpack(data, offset)` gives the element headers at even positions, to be compared with `headers`, and the values
    at odd ones. Padding and what ended the reading are compared as well: another packet may have an element there.
    `transport_sequence` and `octet` are positions in that tuple, or -1.
    """

    __slots__ = ("head", "headers", "octet", "transport_sequence", "unpack")

    def __init__(self, head: bytes, block: bytes, transport_sequence_id: int, octet_id: int) -> None:
        self.head = head
        self.transport_sequence = self.octet = -1
        code: list[str] = ["!"]
        headers: list[int | bytes] = []
        position, end = 0, len(block)
        while position < end:
            first = block[position]
            if first == 0:
                rest = block[position:]
                run = len(rest) - len(rest.lstrip(b"\0"))
                headers.append(0 if run == 1 else bytes(run))
                code.append("B" if run == 1 else f"{run}s")
                position += run
                if position < end:
                    code.append("0s")  # the value that keeps headers at even positions
                continue
            identifier, size = first >> 4, (first & 15) + 1
            value_at = 2 * len(headers) + 1
            headers.append(first)
            if identifier in (0, 15) or position + 1 + size > end:
                code.append("B")
                break
            if identifier == transport_sequence_id:
                self.transport_sequence = value_at if size == 2 else -1
            elif identifier == octet_id:
                self.octet = value_at if size == 1 else -1
            code.append(f"B{size}s" if size > 2 else "BH" if size == 2 else "BB")
            position += 1 + size
        self.headers = tuple(headers)
        self.unpack: Callable[[bytes, int], tuple[int, ...]] = struct.Struct("".join(code)).unpack_from


class LayoutCache:
    """Finds the Layout of a packet; hot: one comparison when the arrangement is that of the packet before."""

    __slots__ = ("_known", "_last", "_octet_id", "_transport_sequence_id")

    def __init__(self, transport_sequence_id: int, octet_id: int) -> None:
        """Ids as negotiated, 0 where the extension is not. `octet_id`: of the extension of one byte that this medium is
        read for, orientation (video) or level (audio)."""
        self._transport_sequence_id = transport_sequence_id
        self._octet_id = octet_id
        self._known: list[Layout] = []
        self._last = Layout(b"", b"", 0, 0)

    def read(self, data: bytes, offset: int, size: int) -> tuple[int, int]:
        """Transport-wide sequence number and the byte of interest (-1 where absent).

        `offset` is that of the block's first element; the caller has checked that `size` bytes are there.
        """
        head = data[offset - 4 : offset]
        layout = self._last
        if head == layout.head:
            values = layout.unpack(data, offset)
            if values[::2] == layout.headers:
                sequence, octet = layout.transport_sequence, layout.octet
                return (
                    values[sequence] if sequence >= 0 else -1,
                    values[octet] if octet >= 0 else -1,
                )
        return self._find(data, offset, size, head)

    def _find(self, data: bytes, offset: int, size: int, head: bytes) -> tuple[int, int]:
        if head[:2] != b"\xbe\xde":
            found = read_extensions(data[offset : offset + size], int.from_bytes(head[:2], "big"))
            sequence = found.get(self._transport_sequence_id, b"")
            octet = found.get(self._octet_id, b"")
            return (
                int.from_bytes(sequence, "big") if len(sequence) == 2 else -1,
                octet[0] if len(octet) == 1 else -1,
            )
        for layout in self._known:
            if layout.head == head and layout.unpack(data, offset)[::2] == layout.headers:
                break
        else:
            layout = Layout(head, data[offset : offset + size], self._transport_sequence_id, self._octet_id)
            if len(self._known) >= MAX_LAYOUTS:
                self._known.clear()
            self._known.append(layout)
        self._last = layout
        values = layout.unpack(data, offset)
        return (
            values[layout.transport_sequence] if layout.transport_sequence >= 0 else -1,
            values[layout.octet] if layout.octet >= 0 else -1,
        )
