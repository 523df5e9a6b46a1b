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

_PADDING = tuple(bytes(n - 1) + bytes((n,)) if n else b"" for n in range(MAX_PAD + 1))
_PADDED = 0x2000
_RTP = struct.Struct("!HHII")

Target = tuple[
    "Subscription", Crypt, int, int, int, int, int, int, int, Callable[[list[bytes], int, Address], None], Address
]
"""What changes rarely for a subscription, unpacked once per run: subscription, encrypt, nonce base, index offset,
timestamp offset, picture id offset, TL0PICIDX offset, SSRC, first header bits with payload type, send_run, address."""


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
        for target in targets:
            target[9](copy_vp8(vp8_jobs, target) if rewrite else copy(jobs, target), count, target[10])
            subscription = target[0]
            subscription.packets += count
            subscription.octets += octets


def copy(jobs: Sequence[Job], target: Target) -> list[bytes]:
    """Header and encrypted payload of each packet, in turn."""
    _, encrypt, nonce, index_offset, timestamp_offset, _, _, ssrc, payload_type, _, _ = target
    pack = _RTP.pack
    buffers: list[bytes] = []
    append = buffers.append
    for first, timestamp, index, extension, payload in jobs:
        index -= index_offset
        header = (
            pack(first | payload_type, index & 0xFFFF, (timestamp + timestamp_offset) & 0xFFFFFFFF, ssrc) + extension
        )
        append(header)
        append(encrypt((nonce ^ index).to_bytes(12, "big"), payload, header))
    return buffers


def copy_vp8(jobs: Sequence[Vp8Job], target: Target) -> list[bytes]:
    """As `copy`, with picture id and TL0PICIDX moved."""
    _, encrypt, nonce, index_offset, timestamp_offset, picture_offset, tl0_offset, ssrc, payload_type, _, _ = target
    pack = _RTP.pack
    buffers: list[bytes] = []
    append = buffers.append
    for first, timestamp, index, extension, rest, size, fixed, picture, p_mask, p_shift, tl0, t_mask, t_shift in jobs:
        index -= index_offset
        header = (
            pack(first | payload_type, index & 0xFFFF, (timestamp + timestamp_offset) & 0xFFFFFFFF, ssrc) + extension
        )
        append(header)
        descriptor = fixed | ((picture + picture_offset) & p_mask) << p_shift | ((tl0 + tl0_offset) & t_mask) << t_shift
        append(encrypt((nonce ^ index).to_bytes(12, "big"), descriptor.to_bytes(size, "big") + rest, header))
    return buffers
