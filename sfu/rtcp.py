"""RTCP (RFC 3550 6, RFC 3611, RFC 4585, RFC 5104, REMB): a bounded reader and the writers that the SFU needs.

The reader yields what it understands and silently skips the rest of a compound packet that lies about its lengths:
a stranger's input never raises.
"""

import struct
from collections.abc import Iterator

import msgspec

from sfu.congestion.feedback import TransportFeedback, parse_feedback

SENDER_REPORT, RECEIVER_REPORT, TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK, EXTENDED_REPORT = 200, 201, 205, 206, 207
NACK, TRANSPORT_WIDE = 1, 15
PLI, FIR, APPLICATION = 1, 4, 15
REFERENCE_TIME, SINCE_REFERENCE_TIME = 4, 5
"""Blocks of an extended report."""

NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900 to 1970."""

MAX_NACKED = 1024
"""Sequence numbers taken from one NACK; the rest is ignored."""

MAX_SINCE_REFERENCE = 31
"""Answers to reference times that are taken from one extended report, one for each receiver; the rest is ignored."""

MAX_REMB_BPS = 10_000_000_000
"""A REMB can say 2**81 bit/s; what is above this is as good as this."""

_HEADER = struct.Struct("!BBH")
_REPORT = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IQIII")
_REFERENCE = struct.Struct("!IBBHQ")
_SINCE_REFERENCE = struct.Struct("!III")


class Report(msgspec.Struct, frozen=True):
    """A report block (RFC 3550 6.4.1). Times in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay_since_last_sr: int


class SenderReport(msgspec.Struct, frozen=True):
    ssrc: int
    ntp_timestamp: int
    rtp_timestamp: int
    packets: int
    octets: int


class ReceiverReports(msgspec.Struct, frozen=True):
    """Report blocks of one SR or RR."""

    blocks: tuple[Report, ...]


class Nack(msgspec.Struct, frozen=True):
    ssrc: int
    sequence_numbers: tuple[int, ...]


class KeyFrameRequest(msgspec.Struct, frozen=True):
    """PLI or FIR for one source."""

    ssrc: int
    fir_number: int | None = None
    """Of a FIR, 0..255: one with the number of the one before is the same request (RFC 5104 4.3.1.2). None: a PLI."""


class Remb(msgspec.Struct, frozen=True):
    """Receiver's estimate of what the named sources together may send (draft-alvestrand-rmcat-remb-03, 2.2)."""

    bps: int
    """0..MAX_REMB_BPS."""
    ssrcs: tuple[int, ...]


class SinceReference(msgspec.Struct, frozen=True):
    """A sender's answer to a receiver's reference time (DLRR, RFC 3611 4.5). Times in 1/65536 s."""

    ssrc: int
    """Of the receiver."""
    last_rr: int
    """The middle 32 bits of the NTP timestamp that it sent; 0: the sender had none."""
    delay_since_last_rr: int


Packet = SenderReport | ReceiverReports | Nack | KeyFrameRequest | TransportFeedback | Remb | SinceReference


def parse(data: bytes) -> Iterator[Packet]:
    """Read a compound packet (decrypted). At most 31 report blocks and MAX_NACKED numbers per packet."""
    position, end = 0, len(data)
    while position + 4 <= end:
        first, kind, words = _HEADER.unpack_from(data, position)
        size = 4 * (words + 1)
        if first >> 6 != 2 or position + size > end:
            return
        yield from _parse_one(first & 31, kind, data[position : position + size])
        position += size


def _parse_one(count: int, kind: int, packet: bytes) -> Iterator[Packet]:
    size = len(packet)
    if kind == SENDER_REPORT and size >= 28:
        ssrc, ntp, rtp, packets, octets = _SENDER.unpack_from(packet, 4)
        yield SenderReport(ssrc, ntp, rtp, packets, octets)
        if count:
            yield _blocks(count, packet, 28)
    elif kind == RECEIVER_REPORT and size >= 8:
        if count:
            yield _blocks(count, packet, 8)
    elif kind == TRANSPORT_FEEDBACK and count == NACK and size >= 16:
        yield _nack(packet)
    elif kind == TRANSPORT_FEEDBACK and count == TRANSPORT_WIDE:
        feedback = parse_feedback(packet)
        if feedback is not None:
            yield feedback
    elif kind == PAYLOAD_FEEDBACK and count == PLI and size >= 12:
        yield KeyFrameRequest(int.from_bytes(packet[8:12], "big"))
    elif kind == PAYLOAD_FEEDBACK and count == FIR:
        for entry in range(12, size - 7, 8):
            yield KeyFrameRequest(int.from_bytes(packet[entry : entry + 4], "big"), packet[entry + 4])
    elif kind == PAYLOAD_FEEDBACK and count == APPLICATION and size >= 20 and packet[12:16] == b"REMB":
        yield _remb(packet)
    elif kind == EXTENDED_REPORT:
        yield from _since_reference(packet)


def _since_reference(packet: bytes) -> Iterator[SinceReference]:
    """Up to the first block that lies about its length."""
    position, taken = 8, 0
    while position + 4 <= len(packet):
        end = position + 4 + 4 * (packet[position + 2] << 8 | packet[position + 3])
        if end > len(packet):
            return
        if packet[position] == SINCE_REFERENCE_TIME:
            for start in range(position + 4, end - 11, 12):
                if taken == MAX_SINCE_REFERENCE:
                    return
                yield SinceReference(*_SINCE_REFERENCE.unpack_from(packet, start))
                taken += 1
        position = end


def _remb(packet: bytes) -> Remb:
    word = int.from_bytes(packet[17:20], "big")
    end = min(20 + 4 * packet[16], len(packet))
    return Remb(
        min((word & 0x3FFFF) << (word >> 18), MAX_REMB_BPS),
        tuple(int.from_bytes(packet[at : at + 4], "big") for at in range(20, end - 3, 4)),
    )


def _blocks(count: int, packet: bytes, offset: int) -> ReceiverReports:
    blocks = []
    for start in range(offset, min(offset + 24 * count, len(packet) - 23), 24):
        ssrc, losses, highest, jitter, last_sr, delay = _REPORT.unpack_from(packet, start)
        lost = losses & 0xFFFFFF
        blocks.append(
            Report(ssrc, losses >> 24, lost - (1 << 24) if lost & 0x800000 else lost, highest, jitter, last_sr, delay)
        )
    return ReceiverReports(tuple(blocks))


def _nack(packet: bytes) -> Nack:
    numbers: list[int] = []
    for entry in range(12, len(packet) - 3, 4):
        sequence = packet[entry] << 8 | packet[entry + 1]
        mask = packet[entry + 2] << 8 | packet[entry + 3]
        numbers.append(sequence)
        while mask:
            sequence = (sequence + 1) & 0xFFFF
            if mask & 1:
                numbers.append(sequence)
            mask >>= 1
        if len(numbers) >= MAX_NACKED:
            break
    return Nack(int.from_bytes(packet[8:12], "big"), tuple(numbers[:MAX_NACKED]))


def sender_report(ssrc: int, ntp_timestamp: int, rtp_timestamp: int, packets: int, octets: int) -> bytes:
    return _HEADER.pack(0x80, SENDER_REPORT, 6) + _SENDER.pack(
        ssrc, ntp_timestamp, rtp_timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )


def receiver_report(ssrc: int, blocks: list[Report]) -> bytes:
    """At most 31 blocks."""
    body = b"".join(
        _REPORT.pack(
            b.ssrc,
            b.fraction_lost << 24 | max(-0x800000, min(0x7FFFFF, b.lost)) & 0xFFFFFF,
            b.highest & 0xFFFFFFFF,
            b.jitter & 0xFFFFFFFF,
            b.last_sr,
            b.delay_since_last_sr & 0xFFFFFFFF,
        )
        for b in blocks
    )
    return _HEADER.pack(0x80 | len(blocks), RECEIVER_REPORT, 1 + 6 * len(blocks)) + ssrc.to_bytes(4, "big") + body


def reference_time(ssrc: int, ntp_timestamp: int) -> bytes:
    """An extended report with a receiver's reference time (RRTR, RFC 3611 4.4), which senders answer."""
    return _HEADER.pack(0x80, EXTENDED_REPORT, 4) + _REFERENCE.pack(ssrc, REFERENCE_TIME, 0, 2, ntp_timestamp)


def since_reference(ssrc: int, answers: list[SinceReference]) -> bytes:
    """The answer to it. At most MAX_SINCE_REFERENCE."""
    body = b"".join(_SINCE_REFERENCE.pack(a.ssrc, a.last_rr, a.delay_since_last_rr) for a in answers)
    words = 3 * len(answers)
    head = ssrc.to_bytes(4, "big") + bytes((SINCE_REFERENCE_TIME, 0)) + words.to_bytes(2, "big")
    return _HEADER.pack(0x80, EXTENDED_REPORT, words + 2) + head + body


def nack(sender_ssrc: int, media_ssrc: int, sequence_numbers: list[int]) -> bytes:
    """Generic NACK (RFC 4585 6.2.1); numbers ascending (modulo 2**16), each within 16 of a first joins its bit mask."""
    entries: list[int] = []
    first = mask = -1
    for sequence in sequence_numbers:
        distance = (sequence - first) & 0xFFFF
        if first >= 0 and 0 < distance <= 16:
            mask |= 1 << (distance - 1)
        else:
            if first >= 0:
                entries.append(first << 16 | mask)
            first, mask = sequence & 0xFFFF, 0
    if first >= 0:
        entries.append(first << 16 | mask)
    body = b"".join(entry.to_bytes(4, "big") for entry in entries)
    return (
        _HEADER.pack(0x80 | NACK, TRANSPORT_FEEDBACK, 2 + len(entries))
        + sender_ssrc.to_bytes(4, "big")
        + media_ssrc.to_bytes(4, "big")
        + body
    )


def pli(sender_ssrc: int, media_ssrc: int) -> bytes:
    return (
        _HEADER.pack(0x80 | PLI, PAYLOAD_FEEDBACK, 2) + sender_ssrc.to_bytes(4, "big") + media_ssrc.to_bytes(4, "big")
    )


def ntp_from_unix(seconds: float) -> int:
    """64-bit NTP timestamp (RFC 5905 6) of a Unix time."""
    return int((seconds + NTP_EPOCH_S) * 4_294_967_296)
