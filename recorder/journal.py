"""The journal format: one append-only file per track and epoch, readable alone. No I/O here.

A file is `MAGIC`, then records. A record is self-delimiting and checksummed:

    crc32 (4 bytes)  of all that follows in the record
    length (4)       of the body
    type (1)
    body

All integers are little-endian. The first record is HEADER, the last of a file that was ended cleanly is END; a file
that ends without it was torn, and everything before the first record that is incomplete or fails its checksum is good.

What a later version adds has a type from FIRST_OPTIONAL on, or an event type of its own, and can be done without: this
version skips and counts it. docs/recording-format.md has all of it, with an example.

File names sort by epoch: `events-<epoch>.journal`, `<segment_id>-<epoch>.journal`, under the recording's folder.
"""

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple, get_args

import msgspec

from recorder.events import RecordingEvent
from sfu.interfaces import Reception, StreamInfo

MAGIC = b"STEMJRN1"
"""The last byte is the version of the format."""
SUFFIX = ".journal"
UNBORN_SUFFIX = ".unborn"
"""Of a journal that is not yet locked and headed; what bears it after a crash holds nothing."""
MAX_BODY_BYTES = 1 << 20
"""No record is longer; a longer length means that the file is damaged."""

HEADER, PACKET, SENDER_REPORT, EVENT, DROPPED, END = range(1, 7)
FIRST_OPTIONAL = 0x40
"""Records of an unknown type from here on are skipped; one below it could not be done without. It is given to nothing
itself, so that readers can be tried with it."""
PICTURE, MUTED, RECEPTION = range(FIRST_OPTIONAL + 1, FIRST_OPTIONAL + 4)

_FRAME = struct.Struct("<IIB")
_CRC = struct.Struct("<I")
_REST = struct.Struct("<IB")
_PACKET_HEAD = struct.Struct("<IBqqIB")
_PACKET = struct.Struct("<qqIB")
_REPORT = struct.Struct("<qQI")
_NUMBERS = struct.Struct("<qQ")
_PICTURE = struct.Struct("<qqHH")
_MUTED = struct.Struct("<qB")
_RECEPTION = struct.Struct("<qIQQQQQQ")
PACKET_OVERHEAD_BYTES = _CRC.size + _PACKET_HEAD.size
"""What a packet takes in the file beside its payload."""


class RecordingHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Which recording a journal belongs to, and the session clock: session_ns = monotonic_ns - zero_monotonic_ns."""

    recording_id: str
    session_id: str
    zero_monotonic_ns: int
    """Zero of the session clock on the monotonic clock of `boot_id`; may be negative after a reboot."""
    zero_wall_ns: int
    """The same moment as Unix time."""
    boot_id: str


class TrackHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Which segment of which take a track journal holds."""

    recording_id: str
    session_id: str
    take_id: str
    segment_id: str
    participant_id: str
    kind: str
    stream: StreamInfo


class FileHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the HEADER record, as JSON."""

    epoch: str
    """16 hex digits, later runs of the writer sort later."""
    opened_monotonic_ns: int
    opened_wall_ns: int
    recording: RecordingHeader
    track: TrackHeader | None = None
    """None: an events journal."""


class JournalPacket(NamedTuple):
    arrival_ns: int
    """On the monotonic clock of the header's boot."""
    sequence: int
    """Extended sequence number (`PacketTap.packet`'s index)."""
    timestamp: int
    marker: bool
    payload: bytes


class JournalReport(NamedTuple):
    arrival_ns: int
    ntp_timestamp: int
    rtp_timestamp: int


class JournalDropped(NamedTuple):
    """Packets that the writer had no room for, just before this place."""

    arrival_ns: int
    packets: int


class JournalPicture(NamedTuple):
    """With the key frame that begins with this packet the picture gets another size, or another simulcast layer."""

    arrival_ns: int
    sequence: int
    """As in `JournalPacket`."""
    width: int
    height: int
    rid: str
    """Of the layer; empty without simulcast."""


class JournalMute(NamedTuple):
    """The participant muted its microphone or switched its camera off, or ended that."""

    arrival_ns: int
    muted: bool


class JournalReception(NamedTuple):
    """How the stream came, since its beginning."""

    arrival_ns: int
    reception: Reception


class JournalEnd(NamedTuple):
    arrival_ns: int
    packets: int
    """That the tap accepted over the whole file, dropped ones not counted."""


TrackRecord = (
    JournalPacket | JournalReport | JournalDropped | JournalPicture | JournalMute | JournalReception | JournalEnd
)
"""What has the time of its arrival, and is no event."""
Record = FileHeader | TrackRecord | RecordingEvent

END_BYTES = _FRAME.size + _NUMBERS.size


class _Tag(msgspec.Struct):
    type: str


_EVENTS = frozenset(str(event.__struct_config__.tag) for event in get_args(RecordingEvent))
_decode_tag = msgspec.json.Decoder(_Tag).decode
_decode_header = msgspec.json.Decoder(FileHeader).decode
_decode_event: Callable[[bytes], RecordingEvent] = msgspec.json.Decoder(RecordingEvent).decode
_encode_json = msgspec.json.Encoder().encode


def events_name(epoch: str) -> str:
    return f"events-{epoch}{SUFFIX}"


def track_name(segment_id: str, epoch: str) -> str:
    return f"{segment_id}-{epoch}{SUFFIX}"


def encode(kind: int, body: bytes) -> bytes:
    """One record."""
    rest = _REST.pack(len(body), kind) + body
    return _CRC.pack(zlib.crc32(rest)) + rest


def encode_head(header: FileHeader) -> bytes:
    """The beginning of a file."""
    return MAGIC + encode(HEADER, _encode_json(header))


def encode_event(event: RecordingEvent) -> bytes:
    return encode(EVENT, _encode_json(event))


def encode_report(arrival_ns: int, ntp_timestamp: int, rtp_timestamp: int) -> bytes:
    return encode(SENDER_REPORT, _REPORT.pack(arrival_ns, ntp_timestamp, rtp_timestamp))


def encode_dropped(arrival_ns: int, packets: int) -> bytes:
    return encode(DROPPED, _NUMBERS.pack(arrival_ns, packets))


def encode_picture(arrival_ns: int, sequence: int, width: int, height: int, rid: str) -> bytes:
    """What a sender claims to be larger than 65535 is said to be that."""
    size = min(width, 0xFFFF), min(height, 0xFFFF)
    return encode(PICTURE, _PICTURE.pack(arrival_ns, sequence, *size) + rid.encode())


def encode_mute(arrival_ns: int, muted: bool) -> bytes:
    return encode(MUTED, _MUTED.pack(arrival_ns, muted))


def encode_reception(arrival_ns: int, reception: Reception) -> bytes:
    return encode(RECEPTION, _RECEPTION.pack(arrival_ns, *reception))


def encode_end(arrival_ns: int, packets: int) -> bytes:
    return encode(END, _NUMBERS.pack(arrival_ns, packets))


def packet_parts(
    arrival_s: float, sequence: int, timestamp: int, marker: bool, payload: bytes
) -> tuple[bytes, bytes, bytes]:
    """A packet record in three parts to be joined, so that the payload is copied once. Hot: 1.1 us with the join."""
    head = _PACKET_HEAD.pack(
        _PACKET.size + len(payload), PACKET, int(arrival_s * 1e9), sequence, timestamp & 0xFFFFFFFF, marker
    )
    return _CRC.pack(zlib.crc32(payload, zlib.crc32(head))), head, payload


class JournalDecoder:
    """Bytes of a file in, in pieces of any size; records out. Never raises.

    `problem` is set at the first place that is no good record: while the file is still written this may be a write in
    progress, so the caller feeds again from `restart()`; in a file that nobody writes it is the torn end.
    """

    def __init__(self) -> None:
        self.good_bytes = 0
        """Offset in the file up to which everything was decoded."""
        self.ended = False
        self.problem = ""
        self.skipped = 0
        """Good records of a type that this version does not know."""
        self._buffer = b""

    @property
    def undecoded_bytes(self) -> int:
        return len(self._buffer)

    def restart(self) -> int:
        """Forget what is not decoded; returns the offset to feed from."""
        self._buffer = b""
        self.problem = ""
        return self.good_bytes

    def feed(self, data: bytes) -> list[Record]:
        """Decode all records that are complete, up to the first problem."""
        buffer = self._buffer + data if self._buffer else data
        records: list[Record] = []
        good = 0
        if self.good_bytes == 0:
            if not buffer.startswith(MAGIC):
                if not MAGIC.startswith(buffer):
                    self.problem = "not a journal of this version"
                self._buffer = buffer
                return records
            good = len(MAGIC)
        while not (self.ended or self.problem) and len(buffer) - good >= _FRAME.size:
            crc, length, kind = _FRAME.unpack_from(buffer, good)
            if length > MAX_BODY_BYTES:
                self.problem = "record of an impossible length"
                break
            end = good + _FRAME.size + length
            if end > len(buffer):
                break
            if zlib.crc32(memoryview(buffer)[good + _CRC.size : end]) != crc:
                self.problem = "record with a wrong checksum"
                break
            try:
                record = _decode(kind, buffer, good + _FRAME.size, end)
                if record is not None:
                    records.append(record)
                else:
                    self.skipped += 1
            except struct.error:
                self.problem = f"record of type {kind}: of a wrong length"
                break
            except (msgspec.MsgspecError, ValueError) as error:
                self.problem = f"record of type {kind}: {error}"
                break
            self.ended = kind == END
            good = end
        self.good_bytes += good
        self._buffer = buffer[good:]
        return records


def _decode(kind: int, buffer: bytes, at: int, end: int) -> Record | None:
    """None: of a type that can be done without."""
    if kind == PACKET:
        if at + _PACKET.size > end:
            raise struct.error
        arrival_ns, sequence, timestamp, marker = _PACKET.unpack_from(buffer, at)
        return JournalPacket(arrival_ns, sequence, timestamp, marker != 0, buffer[at + _PACKET.size : end])
    body = buffer[at:end]
    if kind == SENDER_REPORT:
        return JournalReport(*_REPORT.unpack(body))
    if kind == EVENT:
        return _decode_event(body) if _decode_tag(body).type in _EVENTS else None
    if kind == HEADER:
        return _decode_header(body)
    if kind == DROPPED:
        return JournalDropped(*_NUMBERS.unpack(body))
    if kind == END:
        return JournalEnd(*_NUMBERS.unpack(body))
    if kind == PICTURE:
        arrival_ns, sequence, width, height = _PICTURE.unpack_from(body)
        return JournalPicture(arrival_ns, sequence, width, height, body[_PICTURE.size :].decode())
    if kind == MUTED:
        arrival_ns, muted = _MUTED.unpack(body)
        return JournalMute(arrival_ns, muted != 0)
    if kind == RECEPTION:
        arrival_ns, *numbers = _RECEPTION.unpack(body)
        return JournalReception(arrival_ns, Reception(*numbers))
    if kind >= FIRST_OPTIONAL:
        return None
    raise ValueError("unknown")
