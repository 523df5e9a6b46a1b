"""Parts of the media plane alone, in virtual time: received encodings with real keys, and a recorder of what is sent.

SRTP on the other side is `tests.support.srtp`, written apart from the program's.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sfu.encoding import Encoding
from sfu.forwarding import Job, Target, Vp8Job
from sfu.history import History
from sfu.ice import Address
from sfu.inbound import DEFAULT_LIMITS, Inbound, Source
from sfu.interfaces import StreamInfo
from sfu.negotiation import AUDIO_LEVEL, MID, ORIENTATION, REPAIRED_RID, RID, TRANSPORT_SEQUENCE, Chosen
from sfu.outbound import Outbound
from sfu.rtp import LayoutCache
from sfu.sdp import Codec, Section
from sfu.srtp import Profile, ReceiveKeys, SendKeys
from sfu.twcc import ArrivalLog
from tests.support import srtp

PUBLISHER_MASTER = bytes(range(28))
VIEWER_MASTER = bytes(range(100, 128))
MID_ID, TRANSPORT_SEQUENCE_ID, RID_ID, REPAIRED_RID_ID, ORIENTATION_ID, AUDIO_LEVEL_ID = 4, 3, 10, 11, 13, 1
EXTENSIONS = {
    MID: MID_ID,
    TRANSPORT_SEQUENCE: TRANSPORT_SEQUENCE_ID,
    RID: RID_ID,
    REPAIRED_RID: REPAIRED_RID_ID,
    ORIENTATION: ORIENTATION_ID,
    AUDIO_LEVEL: AUDIO_LEVEL_ID,
}
HERE: Address = ("192.0.2.1", 5000)
_RTP = struct.Struct("!BBHII")

OPUS = Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1", ("transport-cc", "nack"))
VP8 = Codec("vp8", 96, 90_000, 1, "", ("transport-cc", "ccm fir", "nack", "nack pli"))
H264 = Codec("h264", 102, 90_000, 1, "packetization-mode=1;profile-level-id=42e01f", ("nack", "nack pli"))
RTX_PAYLOAD_TYPE = 97


def vp8(
    picture_id: int,
    *,
    key: bool = False,
    tl0: int | None = None,
    body: bytes = b"pixels",
    size: tuple[int, int] = (640, 360),
    layer: int | None = None,
    sync: bool = False,
) -> bytes:
    """A VP8 payload that begins a frame: X, I with 15 bits, L if `tl0` is given, T if `layer` is (RFC 7741 4.2)."""
    number = (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big")
    level = b"" if tl0 is None else bytes((tl0 & 0xFF,))
    temporal = b"" if layer is None else bytes((layer << 6 | sync << 5,))
    head = b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", *size) if key else b"\x11\x00\x00"
    flags = 0x80 | (0x40 if level else 0) | (0x20 if temporal else 0)
    return bytes((0x90, flags)) + number + level + temporal + head + body


def vp8_picture(picture_id: int, packets: int, *, key: bool = False, body: bytes = bytes(900)) -> list[bytes]:
    """The payloads of one frame, all of about the same size."""
    rest = b"\x80\x80" + (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big") + body
    return [vp8(picture_id, key=key, body=body), *[rest] * (packets - 1)]


def one_byte_extensions(*elements: tuple[int, bytes]) -> bytes:
    """A whole extension block with its head (RFC 8285 4.2)."""
    block = b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in elements)
    block += bytes(-len(block) % 4)
    return b"\xbe\xde" + (len(block) // 4).to_bytes(2, "big") + block


class Publisher:
    """Seals RTP packets as the other end of `ReceiveKeys(AEAD_AES_128_GCM, PUBLISHER_MASTER)`."""

    def __init__(self, ssrc: int, payload_type: int) -> None:
        self.ssrc, self.payload_type = ssrc, payload_type
        self._keys = srtp.Direction(PUBLISHER_MASTER[:16], PUBLISHER_MASTER[16:])

    def seal(
        self,
        index: int,
        payload: bytes,
        *,
        timestamp: int = 0,
        marker: bool = False,
        padding: int = 0,
        extensions: bytes = b"",
        payload_type: int | None = None,
    ) -> bytes:
        if padding:
            payload += bytes(padding - 1) + bytes((padding,))
        first = 0x80 | (0x20 if padding else 0) | (0x10 if extensions else 0)
        second = (0x80 if marker else 0) | (self.payload_type if payload_type is None else payload_type)
        header = _RTP.pack(first, second, index & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc) + extensions
        return self._keys.protect(header, payload, self.ssrc, index)


def receive_keys() -> ReceiveKeys:
    return ReceiveKeys(Profile.AEAD_AES_128_GCM, PUBLISHER_MASTER)


def stream_info(codec: Codec, ssrc: int, rid: str = "") -> StreamInfo:
    return StreamInfo(
        ssrc=ssrc,
        rid=rid,
        codec=codec.name,
        payload_type=codec.payload_type,
        clock_rate_hz=codec.clock_rate_hz,
        channels=2 if codec.name == "opus" else 0,
        fmtp=codec.fmtp,
    )


def encoding(
    codec: Codec, ssrc: int = 1111, first_index: int = 0, touched: list[Encoding] | None = None, rid: str = ""
) -> Encoding:
    layouts = LayoutCache(TRANSPORT_SEQUENCE_ID, AUDIO_LEVEL_ID if codec.name == "opus" else ORIENTATION_ID)
    info = stream_info(codec, ssrc, rid)
    history = History(DEFAULT_LIMITS.history_s, DEFAULT_LIMITS.history_packets)
    listed = [] if touched is None else touched
    return Encoding(info, first_index, receive_keys(), layouts, ArrivalLog(), listed, history)


def section(mid: str, kind: str, *, ssrcs: tuple[int, ...] = (), repair_of: dict[int, int] | None = None) -> Section:
    return Section(
        kind=kind,
        mid=mid,
        rejected=False,
        protocol="UDP/TLS/RTP/SAVPF",
        direction="sendonly",
        codecs={},
        extensions=dict(EXTENSIONS),
        ssrcs=list(ssrcs),
        repair_of=repair_of or {},
        rids=[],
        ice_ufrag="ufrag",
        ice_pwd="p" * 24,
        fingerprints=[],
        setup="actpass",
    )


def camera(
    on_encoding: Callable[[Source, Encoding], None] = lambda _source, _encoding: None, **how: object
) -> tuple[Inbound, list[Encoding]]:
    """The receiving half of a transport with one VP8 section of mid `1`, RTX negotiated; and its touched list."""
    touched: list[Encoding] = []
    inbound = Inbound(touched, on_encoding)
    described = section("1", "video", **how)  # type: ignore[arg-type]
    inbound.negotiated(described.extensions)
    inbound.add("t_1", described, Chosen(VP8, RTX_PAYLOAD_TYPE))
    return inbound, touched


def deliver(inbound: Inbound, packet: bytes, now: float, keys: ReceiveKeys | None = None) -> None:
    """As `Transport.receive` does."""
    first, second, sequence, timestamp, ssrc = _RTP.unpack_from(packet)
    stream = inbound.streams.get(ssrc)
    if stream is not None:
        stream.receive(packet, first, second, sequence, timestamp, now)
    else:
        inbound.first_sight(packet, first, second, sequence, timestamp, ssrc, now, keys or receive_keys())


@dataclass
class Sent:
    """A packet that a viewer got, opened."""

    ssrc: int
    sequence: int
    timestamp: int
    payload_type: int
    marker: bool
    padded: bool
    extension: bytes
    payload: bytes
    """With its padding."""

    @property
    def media(self) -> bytes:
        return self.payload[: -self.payload[-1]] if self.padded else self.payload


@dataclass
class Viewer:
    """A SendPath that keeps everything and notes each nonce; `indices` says under which packet index it opened."""

    keys: SendKeys = field(default_factory=lambda: SendKeys(Profile.AEAD_AES_128_GCM, VIEWER_MASTER))
    address: Address = HERE
    datagrams: list[bytes] = field(default_factory=list)
    runs: list[list[bytes]] = field(default_factory=list)
    nonces: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next_ssrc = 0x1000
        self._next_number = 65_530
        self.numbers: list[tuple[int, int, int, int]] = []
        """What was asked of `number`: first number, packets, octets, cluster."""
        self._opened = 0
        encrypt = self.keys.encrypt

        def spy(nonce: bytes, text: bytes, header: bytes) -> bytes:
            self.nonces.append(nonce)
            return encrypt(nonce, text, header)

        self.keys.encrypt = spy

    def new_ssrc(self) -> int:
        self._next_ssrc += 1
        return self._next_ssrc

    def number(self, count: int, octets: int, cluster: int = 0) -> int:
        first, self._next_number = self._next_number, (self._next_number + count) & 0xFFFF
        self.numbers.append((first, count, octets, cluster))
        return first

    def admit(self, count: int, octets: int) -> int:
        return self.number(count, octets)

    def hold(self, jobs: Sequence[Job] | Sequence[Vp8Job], target: Target, rewrite: bool) -> None:
        raise AssertionError("this path takes everything")

    def send(self, data: bytes) -> bool:
        self.datagrams.append(data)
        return True

    def send_run(self, buffers: list[bytes], count: int, address: Address) -> None:
        assert len(buffers) == 2 * count
        assert address == self.address
        run = [buffers[n] + buffers[n + 1] for n in range(0, 2 * count, 2)]
        self.runs.append(run)
        self.datagrams += run

    def packets(self) -> list[Sent]:
        """What came since the last call, opened with the nonce that was used; AES-128-GCM only."""
        keys = srtp.Direction(VIEWER_MASTER[:16], VIEWER_MASTER[16:])
        fresh = range(self._opened, len(self.datagrams))
        self._opened = len(self.datagrams)
        return [opened(self.datagrams[n], keys, self.nonces[n]) for n in fresh]

    def pairs(self) -> list[tuple[int, int]]:
        """(SSRC, packet index) of each encryption, from the nonces (RFC 7714 8.1)."""
        plain = [int.from_bytes(nonce, "big") ^ self.keys.salt for nonce in self.nonces]
        return [(value >> 48, value & (1 << 48) - 1) for value in plain]


class SubscribeTransport(Viewer):
    """What a Subscriber and its subscriptions need of a Transport."""

    def __init__(self) -> None:
        super().__init__()
        self.outbound = Outbound()
        self.fingerprints: list[tuple[str, str]] = []
        self.state = "new"
        self.setup = "passive"
        self.restarts = 0

    def restart_ice(self) -> None:
        self.restarts += 1

    def be_dtls_client(self) -> None:
        self.setup = "active"

    def close(self) -> None:
        self.state = "closed"


def opened(datagram: bytes, keys: srtp.Direction, nonce: bytes) -> Sent:
    """Raises InvalidTag."""
    first, second, sequence, timestamp, ssrc = _RTP.unpack_from(datagram)
    size = srtp.header_bytes(datagram)
    payload = keys.decrypt(nonce, datagram[size:], datagram[:size])
    return Sent(
        ssrc, sequence, timestamp, second & 0x7F, second >= 0x80, bool(first & 0x20), datagram[12:size], payload
    )
