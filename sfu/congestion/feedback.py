"""Reader of transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1). Bounded, never raises.

Yields runs of received packets rather than packets, because all that comes later works on runs. Hot: a feedback in
which everything arrived in order costs one `accumulate` over its delta bytes (1.5 us for 25 packets, 0.06 us each).
A feedback whose counts do not fit its length gives nothing at all: half of it would say something false.
"""

import re
import struct
from itertools import accumulate

import msgspec

TICKS_PER_S = 4000
"""Arrival times come in steps of 250 us (3.1.5)."""

TICKS_PER_REFERENCE = 256
"""The reference time comes in steps of 64 ms (3.1)."""

MAX_COVERED = 1 << 15
"""Sequence numbers of one feedback: half of their space, beyond which old and new cannot be told apart. Overflow: the
feedback is dropped. What was received of them is bounded by the datagram, a byte each."""

_FIELDS = struct.Struct("!HHI")
_HEADER_BYTES = 20
_PADDED = 0x20
_SMALL_RUN = 0x2000
"""Run length chunk of packets that were received, small delta (3.1.3)."""

_LARGE, _RESERVED = 2, 3
_SYMBOL = tuple(bytes((symbol,)) for symbol in range(4))
_ONE_BIT = tuple(bytes(bits >> shift & 1 for shift in range(6, -1, -1)) for bits in range(1 << 7))
"""Half of a vector of 14 one-bit symbols."""
_TWO_BITS = tuple(bytes(bits >> shift & 3 for shift in (6, 4, 2, 0)) for bits in range(1 << 8))
"""The first four of a vector of seven two-bit symbols; of the last three there is one more in front."""
_RECEIVED = re.compile(rb"[\x01\x02]+")


class TransportFeedback(msgspec.Struct, frozen=True):
    """What became of `count` packets from transport-wide sequence number `base` (16 bits) on."""

    base: int
    count: int
    number: int
    """Counts feedbacks, 8 bits."""
    reference: int
    """24 bits, in 64 ms on the receiver's clock."""
    spans: tuple[tuple[int, list[int]], ...]
    """Runs of received packets, ascending: (offset from `base`, arrival of each in ticks after the reference). What is
    in no span was not received."""
    ordered: bool
    """Arrivals never step back."""


def parse_feedback(packet: bytes) -> TransportFeedback | None:
    """Read one whole RTCP packet, header included, whose kind is known. None: it contradicts itself."""
    end = len(packet)
    if end < _HEADER_BYTES + 2:
        return None
    if packet[0] & _PADDED:
        end -= packet[-1] or end
    base, count, word = _FIELDS.unpack_from(packet, 12)
    if not 0 < count <= MAX_COVERED:
        return None
    at = _HEADER_BYTES + 2
    if packet[20] << 8 | packet[21] == _SMALL_RUN | count:
        if at + count > end:
            return None
        return TransportFeedback(
            base, count, word & 0xFF, word >> 8, ((0, list(accumulate(packet[at : at + count]))),), True
        )
    statuses = bytearray()
    at = _HEADER_BYTES
    while len(statuses) < count:
        if at + 2 > end:
            return None
        chunk = packet[at] << 8 | packet[at + 1]
        at += 2
        if chunk < 0x8000:
            statuses += _SYMBOL[chunk >> 13] * (chunk & 0x1FFF)
        elif chunk < 0xC000:
            statuses += _ONE_BIT[chunk >> 7 & 0x7F] + _ONE_BIT[chunk & 0x7F]
        else:
            statuses += _TWO_BITS[chunk >> 6 & 0xFF] + _TWO_BITS[chunk & 0x3F][1:]
    del statuses[count:]
    if _RESERVED in statuses:
        return None
    large = _LARGE in statuses
    ticks = _mixed(statuses, packet[at:end]) if large else _small(statuses.count(1), packet[at:end])
    if ticks is None:
        return None
    spans = []
    taken = 0
    for match in _RECEIVED.finditer(statuses):
        start, stop = match.span()
        spans.append((start, ticks[taken : taken + stop - start]))
        taken += stop - start
    return TransportFeedback(
        base, count, word & 0xFF, word >> 8, tuple(spans), not large or all(map(int.__le__, ticks, ticks[1:]))
    )


def _small(received: int, deltas: bytes) -> list[int] | None:
    return list(accumulate(deltas[:received])) if len(deltas) >= received else None


def _mixed(statuses: bytearray, deltas: bytes) -> list[int] | None:
    """Arrivals where some deltas have two bytes, signed."""
    if len(deltas) < statuses.count(1) + 2 * statuses.count(_LARGE):
        return None
    ticks = []
    tick = at = 0
    for status in statuses.replace(b"\0", b""):
        if status == _LARGE:
            step = deltas[at] << 8 | deltas[at + 1]
            tick += step - ((step & 0x8000) << 1)
            at += 2
        else:
            tick += deltas[at]
            at += 1
        ticks.append(tick)
    return ticks
