"""H.264 payload format (RFC 6184, packetization modes 0 and 1): key frames, joining the packets of an access unit.

Single NAL units, STAP-A and FU-A are taken; the rest of the formats of mode 2 is refused. Every function takes any
bytes; the parsers raise only PayloadError, the tests never raise.
"""

import base64
from collections.abc import Iterator, Sequence

from sfu.codecs.bits import BitReader
from sfu.codecs.payload import CodedFrame, PayloadError

IDR, SPS, PPS = 5, 7, 8
STAP_A, FU_A = 24, 28
START_CODE = b"\0\0\0\1"
MAX_PARAMETER_SETS = 8
"""In one fmtp."""


def keyframe(payload: bytes) -> bool:
    """This payload begins an IDR picture or its SPS: single NAL unit, in a STAP-A, or first FU-A. Never raises.

    Of one access unit both may: whoever counts key frames has to see that the timestamps are equal."""
    if not payload:
        return False
    kind = payload[0] & 31
    if kind == FU_A:
        return len(payload) > 2 and payload[1] & 0x80 != 0 and payload[1] & 31 in (IDR, SPS)
    if kind != STAP_A:
        return kind in (IDR, SPS)
    at = 1
    while at + 2 < len(payload):
        if payload[at + 2] & 31 in (IDR, SPS):
            return True
        at += 2 + (payload[at] << 8 | payload[at + 1])
    return False


def first_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height that the SPS in this payload states; None: it has none, or in pieces. Never raises."""
    if not keyframe(payload) or payload[0] & 31 == FU_A:
        return None
    try:
        return next((sps_size(unit) for unit in _units([payload]) if unit[0] & 31 == SPS), None)
    except PayloadError:
        return None


def frame(payloads: Sequence[bytes]) -> CodedFrame:
    """Join all payloads of one access unit, in order and without a gap, as Annex B."""
    units = list(_units(payloads))
    if not units:
        raise PayloadError("H264 access unit without a NAL unit")
    data = b"".join(START_CODE + unit for unit in units)
    slices = [unit for unit in units if unit[0] & 31 == IDR]
    if not slices:
        return CodedFrame(data, False, None)
    if BitReader(slices[0][1:], 8).ue() != 0:
        raise PayloadError("H264 IDR picture without its first slice")
    sets = [unit for unit in units if unit[0] & 31 == SPS]
    return CodedFrame(data, True, sps_size(sets[0]) if sets else None)


def _units(payloads: Sequence[bytes]) -> Iterator[bytes]:
    fragments: list[bytes] = []
    for payload in payloads:
        if not payload:
            raise PayloadError("empty H264 payload")
        kind = payload[0] & 31
        if fragments and kind != FU_A:
            raise PayloadError("H264 fragmented unit without its end")
        if kind == FU_A:
            if len(payload) < 3:
                raise PayloadError("H264 FU-A ends early")
            begins = bool(payload[1] & 0x80)
            if begins == bool(fragments):
                raise PayloadError("H264 FU-A out of order")
            if begins:
                fragments.append(bytes((payload[0] & 0xE0 | payload[1] & 31,)))
            fragments.append(payload[2:])
            if payload[1] & 0x40:
                yield b"".join(fragments)
                fragments = []
        elif kind == STAP_A:
            yield from _aggregated(payload)
        elif 1 <= kind <= 23:
            yield payload
        else:
            raise PayloadError(f"H264 payload type {kind} not taken")
    if fragments:
        raise PayloadError("H264 fragmented unit without its end")


def _aggregated(payload: bytes) -> Iterator[bytes]:
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        unit = payload[at + 2 : at + 2 + size]
        if not size or len(unit) != size:
            raise PayloadError("H264 STAP-A with a wrong size")
        yield unit
        at += 2 + size


def parameter_sets(fmtp: str) -> CodedFrame | None:
    """`sprop-parameter-sets` (RFC 6184 8.1) as Annex B, with the size they state; None without usable ones."""
    for item in fmtp.split(";"):
        name, _, value = item.strip().partition("=")
        if name != "sprop-parameter-sets":
            continue
        try:
            units = [base64.b64decode(unit, validate=True) for unit in value.split(",")[:MAX_PARAMETER_SETS]]
            sets = [unit for unit in units if unit and unit[0] & 31 == SPS]
            return CodedFrame(b"".join(START_CODE + unit for unit in units if unit), False, sps_size(sets[0]))
        except (ValueError, IndexError):
            return None
    return None


def sps_size(sps: bytes) -> tuple[int, int]:
    """Cropped width and height from a sequence parameter set (H.264 7.3.2.1.1), NAL header included."""
    reader = BitReader(sps[1:].replace(b"\0\0\3", b"\0\0"))
    profile = reader.bits(8)
    reader.bits(16)
    reader.ue()
    chroma = 1
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = reader.ue()
        if chroma > 3:
            raise PayloadError("H264 chroma format unknown")
        if chroma == 3 and reader.flag():
            chroma = 0
        reader.ue()
        reader.ue()
        reader.flag()
        if reader.flag():
            _skip_scaling_lists(reader, 12 if chroma in (0, 3) else 8)
    reader.ue()
    _skip_order_count(reader)
    reader.ue()
    reader.flag()
    width = (reader.ue() + 1) * 16
    map_units = reader.ue() + 1
    frame_only = reader.flag()
    height = map_units * 16 * (1 if frame_only else 2)
    if not frame_only:
        reader.flag()
    reader.flag()
    if reader.flag():
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (1 if frame_only else 2)
        width -= across * (reader.ue() + reader.ue())
        height -= down * (reader.ue() + reader.ue())
    if not (0 < width <= 16_384 and 0 < height <= 16_384):
        raise PayloadError("H264 picture of an impossible size")
    return width, height


def _skip_order_count(reader: BitReader) -> None:
    kind = reader.ue()
    if kind == 0:
        reader.ue()
    elif kind == 1:
        reader.flag()
        reader.se()
        reader.se()
        count = reader.ue()
        if count > 255:
            raise PayloadError("H264 picture order cycle too long")
        for _ in range(count):
            reader.se()


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    for number in range(count):
        if not reader.flag():
            continue
        last = scale = 8
        for _ in range(16 if number < 6 else 64):
            if scale:
                scale = (last + reader.se()) % 256
            last = scale or last
