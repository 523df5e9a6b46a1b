"""AV1 payload format (AOMedia "RTP Payload Format For AV1" 1.0): key frames, joining the packets of a temporal unit.

Every function takes any bytes; the parsers raise only PayloadError, the tests never raise.
"""

from collections.abc import Sequence

from sfu.codecs.bits import BitReader
from sfu.codecs.payload import CodedFrame, PayloadError
from sfu.codecs.temporal import BASE, Place, plain

SEQUENCE_HEADER, TEMPORAL_DELIMITER, FRAME_HEADER, FRAME, TILE_LIST, PADDING = 1, 2, 3, 6, 8, 15
LEFT_OUT = (TEMPORAL_DELIMITER, TILE_LIST, PADDING)
"""OBU types that are not stored ("AV1 in Matroska": no delimiters, no padding, no tile lists)."""
MAX_UNITS = 4_096
"""OBUs in one temporal unit; more is refused."""


def keyframe(payload: bytes) -> bool:
    """This payload begins a coded video sequence: N bit without Z bit (4.4). Never raises."""
    return len(payload) > 1 and payload[0] & 0x88 == 0x08


def leb128(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number of at most 8 bytes (AV1 4.10.5): (value, offset behind it)."""
    value = 0
    for number in range(8):
        if at + number >= len(data):
            raise PayloadError("LEB128 ends early")
        byte = data[at + number]
        value |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return value, at + number + 1
    raise PayloadError("LEB128 too long")


def encode_leb128(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def elements(payload: bytes) -> list[bytes]:
    """The OBU elements of one payload (4.4), whole OBUs or pieces by its Z and Y bits."""
    if not payload:
        raise PayloadError("empty AV1 payload")
    count = payload[0] >> 4 & 3
    at = 1
    found: list[bytes] = []
    while at < len(payload):
        if count and len(found) == count - 1:
            size = len(payload) - at
        else:
            size, at = leb128(payload, at)
        if size > len(payload) - at:
            raise PayloadError("AV1 element longer than its payload")
        found.append(payload[at : at + size])
        at += size
    if not found or (count and len(found) != count):
        raise PayloadError("AV1 payload with a wrong element count")
    return found


def frame(payloads: Sequence[bytes]) -> CodedFrame:
    """Join all payloads of one temporal unit, in order and without a gap."""
    units: list[list[bytes]] = []
    unfinished = False
    for payload in payloads:
        pieces = elements(payload)
        if bool(payload[0] & 0x80) != unfinished:
            raise PayloadError("AV1 OBU without its beginning or end")
        if unfinished:
            units[-1].append(pieces.pop(0))
        units.extend([piece] for piece in pieces)
        unfinished = bool(payload[0] & 0x40)
        if len(units) > MAX_UNITS:
            raise PayloadError("AV1 temporal unit of too many OBUs")
    if unfinished:
        raise PayloadError("AV1 OBU without its beginning or end")
    return _temporal_unit([b"".join(pieces) for pieces in units])


def _temporal_unit(units: list[bytes]) -> CodedFrame:
    out: list[bytes] = []
    size: tuple[int, int] | None = None
    key: bool | None = None
    for unit in units:
        if not unit:
            continue
        kind = unit[0] >> 3 & 15
        header = 2 if unit[0] & 4 else 1
        body = unit[header:]
        if len(unit) < header:
            raise PayloadError("AV1 OBU ends early")
        if unit[0] & 2:
            length, at = leb128(unit, header)
            body = unit[at:]
            if length != len(body):
                raise PayloadError("AV1 OBU of a wrong size")
        if kind in LEFT_OUT:
            continue
        if kind == SEQUENCE_HEADER:
            size = sequence_size(body)
        elif kind in (FRAME_HEADER, FRAME) and key is None:
            # show_existing_frame = 0 and frame_type = KEY_FRAME (AV1 5.9.2)
            key = len(body) > 0 and body[0] & 0xE0 == 0
        out += (bytes((unit[0] | 2,)), unit[1:header], encode_leb128(len(body)), body)
    if key is None:
        raise PayloadError("AV1 temporal unit without a frame")
    key = key and size is not None
    return CodedFrame(b"".join(out), key, size if key else None)


def first_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height in the sequence header of the payload that begins a coded video sequence; None: it has none.
    Never raises."""
    if not keyframe(payload):
        return None
    try:
        for unit in elements(payload):
            if unit and unit[0] >> 3 & 15 == SEQUENCE_HEADER:
                at = 2 if unit[0] & 4 else 1
                return sequence_size(unit[leb128(unit, at)[1] if unit[0] & 2 else at :])
    except PayloadError:
        pass
    return None


def place(payload: bytes) -> Place | None:
    """Where the frame of this payload stands among the temporal layers, by the extension of its first OBU's header (AV1
    5.3.3); None: the payload goes on with an OBU. Never raises.

    Who may go up says the dependency descriptor alone: without it only a new coded video sequence lets somebody up."""
    if not payload or payload[0] & 0x80:
        return None
    if keyframe(payload):
        return BASE
    at = 1
    if payload[0] & 0x30 != 0x10:  # a size comes first, unless it is the only element
        try:
            _, at = leb128(payload, at)
        except PayloadError:
            return plain(0)
    return plain(payload[at + 1] >> 5 if at + 1 < len(payload) and payload[at] & 4 else 0)


def sequence_size(body: bytes) -> tuple[int, int]:
    """Largest frame size of a sequence header OBU (AV1 5.5.1), OBU header and size not included."""
    reader = BitReader(body)
    reader.bits(4)
    if reader.flag():
        reader.bits(5)
    else:
        _skip_operating_points(reader)
    width_bits = reader.bits(4) + 1
    height_bits = reader.bits(4) + 1
    return reader.bits(width_bits) + 1, reader.bits(height_bits) + 1


def _skip_operating_points(reader: BitReader) -> None:
    """From timing_info_present_flag to before frame_width_bits_minus_1 (AV1 5.5.1). reduced_still_picture_header: 0."""
    decoder_model = False
    delay_bits = 0
    if reader.flag():
        reader.bits(64)
        if reader.flag():
            reader.uvlc()
        decoder_model = reader.flag()
        if decoder_model:
            delay_bits = reader.bits(5) + 1
            reader.bits(42)
    initial_delay = reader.flag()
    for _ in range(reader.bits(5) + 1):
        reader.bits(12)
        if reader.bits(5) > 7:
            reader.flag()
        if decoder_model and reader.flag():
            reader.bits(2 * delay_bits + 1)
        if initial_delay and reader.flag():
            reader.bits(4)
