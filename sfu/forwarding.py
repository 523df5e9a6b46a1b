"""Copies of one encoding's packets to its subscriptions: rewrite the header, encrypt, send in runs. Hot.

What is equal for all copies is computed once per packet. A copy costs: pack the header, make the nonce, rewrite the
VP8 descriptor, encrypt, append. Packets whose sizes differ by at most MAX_PAD bytes get RTP padding (RFC 3550 5.1),
once per packet, so that a frame leaves in one segmented send: browsers split a frame into sizes that differ by one
byte, smaller ones first, and segmentation allows only the last to be shorter.
"""

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sfu.history import Packet
from sfu.ice import Address
from sfu.srtp import Crypt

if TYPE_CHECKING:
    from sfu.subscription import Subscription

MAX_RUN = 40
"""Packets of one segmented send: the kernel takes 64 and 65,507 bytes, 40 of 1,500 fit."""

MAX_PAD = 3
"""Bytes of padding spent to make a run."""

SEQUENCE_ID = 2
"""Id of the transport-wide sequence number extension in every subscribe offer."""

_PADDING = tuple(bytes(n - 1) + bytes((n,)) if n else b"" for n in range(MAX_PAD + 1))
_PADDED = 0x2000
_RTP = struct.Struct("!HHII")
_NUMBERED = struct.Struct("!HHIIIBHB")
_ONE_WORD = 0xBEDE0001
_SEQUENCE_HEAD = SEQUENCE_ID << 4 | 1
EXTENSION = 0x1000
"""The extension bit in the first 16 bits of an RTP header."""

OVERHEAD_BYTES = 28 + 12 + 8 + 16
"""Of a packet on the wire beside its payload: IPv4 and UDP, RTP header, extension, authentication tag."""

Number = Callable[[int, int], int]
"""(packets, octets on the wire) -> transport-wide sequence number of the first of a run that is about to be sent, or
WAITS: it is not to be sent now."""

WAITS = -2

Target = tuple[
    "Subscription",
    Crypt,
    int,
    int,
    int,
    int,
    int,
    int,
    int,
    Callable[[list[bytes], int, Address], None],
    Address,
    Number | None,
]
"""What changes rarely for a subscription, unpacked once per run: subscription, encrypt, nonce base, index offset,
timestamp offset, picture id offset, TL0PICIDX offset, SSRC, payload type (with the extension bit where packets are
numbered), send_run, address, and how packets are numbered (None: they are not)."""


def split_runs(packets: Sequence[Packet]) -> list[list[Packet]]:
    """Runs that one segmented send may carry: equal sizes after padding, the last may be shorter.

    A packet that its sender padded goes alone: probing does that, media hardly ever.
    """
    runs: list[list[Packet]] = []
    sizes = [len(packet.payload) + len(packet.extension) for packet in packets]
    count = len(packets)
    start = 0
    while start < count:
        low = high = sizes[start]
        end = start + 1
        shorter_last = False
        while end < count and end - start < MAX_RUN and not (packets[start].first | packets[end].first) & _PADDED:
            size = sizes[end]
            if size > high:
                if size - low > MAX_PAD:
                    break
                high = size
            elif size < low:
                if high - size > MAX_PAD:
                    shorter_last = True
                    end += 1
                    break
                low = size
            end += 1
        run = list(packets[start:end])
        if low != high:
            for place in range(len(run) - shorter_last):
                if sizes[start + place] < high:
                    run[place] = _padded(run[place], high - sizes[start + place])
        runs.append(run)
        start = end
    return runs


def _padded(packet: Packet, count: int) -> Packet:
    return Packet(
        packet.number,
        packet.first | _PADDED,
        packet.timestamp,
        packet.payload + _PADDING[count],
        packet.extension,
        packet.descriptor,
        packet.arrival,
    )


Job = tuple[int, int, int, bytes, bytes]
"""First header bits without payload type, timestamp, index, extension, payload."""

Vp8Job = tuple[int, int, int, bytes, bytes, int, int, int, int, int, int, int, int]
"""As Job, with the payload after its descriptor, then the fields of Descriptor in their order."""


def forward(packets: Sequence[Packet], targets: Sequence[Target], rewrite: bool) -> None:
    """Send each packet to each target. `rewrite`: the payloads are VP8, their descriptors are moved."""
    for run in split_runs(packets) if len(packets) > 1 else (packets,):
        count = len(run)
        octets = 0
        jobs: list[Job] = []
        vp8_jobs: list[Vp8Job] = []
        for packet in run:
            payload, extension = packet.payload, packet.extension
            octets += len(payload)
            first = packet.first | (0x9000 if extension else 0x8000)
            if rewrite:
                d = packet.descriptor
                rest = payload[d.size_bytes :]
                vp8_jobs.append(
                    (first, packet.timestamp, packet.number, extension, rest, d.size_bytes, d.fixed, d.picture_id,
                     d.picture_mask, d.picture_shift, d.tl0, d.tl0_mask, d.tl0_shift)
                )  # fmt: skip
            else:
                jobs.append((first, packet.timestamp, packet.number, extension, payload))
        wire = octets + OVERHEAD_BYTES * count
        for target in targets:
            number = target[11]
            sequence = -1 if number is None else number(count, wire)
            if sequence == WAITS:
                target[0].path.hold(vp8_jobs if rewrite else jobs, target, rewrite)
                continue
            target[9](
                copy_vp8(vp8_jobs, target, sequence) if rewrite else copy(jobs, target, sequence), count, target[10]
            )
            subscription = target[0]
            subscription.packets += count
            subscription.octets += octets


def copy(jobs: Sequence[Job], target: Target, sequence: int) -> list[bytes]:
    """Header and encrypted payload of each packet, in turn. `sequence`: transport-wide number of the first, or -1."""
    _, encrypt, nonce, index_offset, timestamp_offset, _, _, ssrc, payload_type, _, _, _ = target
    pack, pack_numbered = _RTP.pack, _NUMBERED.pack
    buffers: list[bytes] = []
    append = buffers.append
    for first, timestamp, index, extension, payload in jobs:
        index -= index_offset
        first |= payload_type
        timestamp = (timestamp + timestamp_offset) & 0xFFFFFFFF
        if sequence < 0:
            header = pack(first, index & 0xFFFF, timestamp, ssrc) + extension
        else:
            if extension:
                header = pack(first, index & 0xFFFF, timestamp, ssrc) + numbered(extension, sequence)
            else:
                header = pack_numbered(
                    first, index & 0xFFFF, timestamp, ssrc, _ONE_WORD, _SEQUENCE_HEAD, sequence & 0xFFFF, 0
                )
            sequence += 1
        append(header)
        append(encrypt((nonce ^ index).to_bytes(12, "big"), payload, header))
    return buffers


def copy_vp8(jobs: Sequence[Vp8Job], target: Target, sequence: int) -> list[bytes]:
    """As `copy`, with picture id and TL0PICIDX moved."""
    _, encrypt, nonce, index_offset, timestamp_offset, picture_offset, tl0_offset, ssrc, payload_type, _, _, _ = target
    pack, pack_numbered = _RTP.pack, _NUMBERED.pack
    buffers: list[bytes] = []
    append = buffers.append
    for first, timestamp, index, extension, rest, size, fixed, picture, p_mask, p_shift, tl0, t_mask, t_shift in jobs:
        index -= index_offset
        first |= payload_type
        timestamp = (timestamp + timestamp_offset) & 0xFFFFFFFF
        if sequence < 0:
            header = pack(first, index & 0xFFFF, timestamp, ssrc) + extension
        else:
            if extension:
                header = pack(first, index & 0xFFFF, timestamp, ssrc) + numbered(extension, sequence)
            else:
                header = pack_numbered(
                    first, index & 0xFFFF, timestamp, ssrc, _ONE_WORD, _SEQUENCE_HEAD, sequence & 0xFFFF, 0
                )
            sequence += 1
        append(header)
        descriptor = fixed | ((picture + picture_offset) & p_mask) << p_shift | ((tl0 + tl0_offset) & t_mask) << t_shift
        append(encrypt((nonce ^ index).to_bytes(12, "big"), descriptor.to_bytes(size, "big") + rest, header))
    return buffers


def numbered(extension: bytes, sequence: int) -> bytes:
    """A viewer's header extension block, empty or with orientation or level, with a transport-wide sequence number: 8
    bytes more in both cases, so that packets of equal size stay equal and go as one run."""
    element = bytes((_SEQUENCE_HEAD, sequence >> 8 & 0xFF, sequence & 0xFF))
    if not extension:
        return b"\xbe\xde\0\1" + element + b"\0"
    return b"\xbe\xde\0\3" + extension[4:6] + element + bytes(7)
