"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01), receiver's side.

A core: arrivals go in, RTCP bodies come out. Times have a resolution of 250 us, the reference 64 ms.
"""

import struct

MAX_PENDING = 1000
"""Arrivals kept between two reports; at 50 ms that is 20,000 packets/s from one publisher. Overflow: the rest of the
interval is reported as lost by the next report."""

MAX_SPAN = 2000
"""Sequence numbers covered by one report; a larger jump is cut."""

_BODY = struct.Struct("!IIHHI")


class ArrivalLog:
    """Collects (transport sequence number, arrival) of one transport and writes one feedback packet per interval."""

    __slots__ = ("_count", "_next", "arrivals")

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, float]] = []
        """Appended to by the packet path; sequence number 0..65535, monotonic seconds."""
        self._count = 0
        self._next: int | None = None
        """Behind the last number that was reported: what is missing from there on is reported as lost."""

    def take_feedback(self, sender_ssrc: int, media_ssrc: int) -> bytes | None:
        """RTCP packet for what arrived since the last call, or None."""
        log = self.arrivals
        if not log:
            return None
        self.arrivals = []
        base, first = log[0]
        reference = int(first * 1000) >> 6
        ticks = reference * 256
        deltas = bytearray()
        skipped = 0 if self._next is None else (base - self._next) & 0xFFFF
        if skipped >= MAX_SPAN:
            skipped = 0
        expected = (base - skipped) & 0xFFFF
        for sequence, arrival in log:
            delta = int(arrival * 4000) - ticks
            if sequence != expected or not 0 <= delta < 256:
                base, count, chunks, deltas = _irregular(log, reference, skipped)
                break
            deltas.append(delta)
            ticks += delta
            expected = (expected + 1) & 0xFFFF
        else:
            count = len(log)
            chunks = (0x2000 | count).to_bytes(2, "big")  # run length: all received, small deltas
        self._next = (base + count) & 0xFFFF
        body = (
            _BODY.pack(sender_ssrc, media_ssrc, base, count, (reference & 0xFFFFFF) << 8 | self._count & 0xFF)
            + chunks
            + deltas
        )
        self._count += 1
        padding = -len(body) % 4
        if padding:
            body += bytes(padding - 1) + bytes((padding,))
        return struct.pack("!BBH", 0x8F | (0x20 if padding else 0), 205, len(body) // 4) + body


def _irregular(log: list[tuple[int, float]], reference: int, skipped: int) -> tuple[int, int, bytes, bytearray]:
    """With loss, reordering or long gaps: two-bit status vectors. Returns base, count, chunks, deltas.

    `skipped`: how many numbers before the first arrival belong to the report, lost."""
    origin = log[0][0]
    by_offset: dict[int, float] = {}
    for sequence, arrival in log:
        by_offset.setdefault(((sequence - origin + 0x8000) & 0xFFFF) - 0x8000, arrival)
    low = min(-skipped, min(by_offset))
    high = min(max(by_offset), low + MAX_SPAN - 1)
    ticks = reference * 256
    statuses: list[int] = []
    deltas = bytearray()
    for offset in range(low, high + 1):
        seen = by_offset.get(offset)
        if seen is None:
            statuses.append(0)
            continue
        delta = int(seen * 4000) - ticks
        if 0 <= delta < 256:
            statuses.append(1)
            deltas.append(delta)
        else:
            delta = max(-32768, min(32767, delta))
            statuses.append(2)
            deltas += delta.to_bytes(2, "big", signed=True)
        ticks += delta
    chunks = bytearray()
    for start in range(0, len(statuses), 7):
        word = 0xC000
        for place, status in enumerate(statuses[start : start + 7]):
            word |= status << (12 - 2 * place)
        chunks += word.to_bytes(2, "big")
    return (origin + low) & 0xFFFF, len(statuses), bytes(chunks), deltas
