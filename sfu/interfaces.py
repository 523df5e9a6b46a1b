"""What the media plane asks from above, and the plain records it hands up.

The media plane imports nothing of ours. A recorder implements `RecordingSink` and `PacketTap`; signaling implements
`PeerObserver`. All calls come synchronously from the event loop of the node and must return at once: no file I/O, no
waiting. An exception out of a tap is counted and ends that tap, never the call.
"""

import enum
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec


class TrackKind(enum.StrEnum):
    """The source slot of a published track (DESIGN.md, Names)."""

    MICROPHONE = "microphone"
    CAMERA = "camera"
    SCREEN = "screen"
    SCREEN_AUDIO = "screen_audio"

    @property
    def media(self) -> str:
        """`audio` or `video`, as in an SDP m-line."""
        return "audio" if self in (TrackKind.MICROPHONE, TrackKind.SCREEN_AUDIO) else "video"


class TransportName(enum.StrEnum):
    """Which of a participant's two peer connections is meant."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Limit(enum.StrEnum):
    """A limit of `[media.limits]` that a participant ran into while its media flowed. The values are part of the
    protocol."""

    INCOMING = "sends_too_much"
    """Its packets came faster than `incoming_bps`: some were dropped."""
    STREAMS = "too_many_streams"
    """It sends more SSRCs on one connection than `streams`: the further ones are dropped."""
    SUBSCRIPTIONS = "too_many_subscriptions"
    """There are more tracks than `subscriptions`, or than payload types for them: it does not get the further ones."""


class DeliveryState(enum.StrEnum):
    """What a viewer's network lets through of a picture."""

    WHOLE = "whole"
    """The layer that fits where it is shown."""
    REDUCED = "reduced"
    """A smaller one, or not all of its frames."""
    PAUSED = "paused"
    """None."""


class Quality(enum.StrEnum):
    """Of a participant's connection (sfu.quality)."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    LOST = "lost"
    """Nothing is heard from it."""


class Trouble(enum.StrEnum):
    """What is wrong with a connection. The values are part of the protocol."""

    UPLINK_LOSS = "uplink_loss"
    """Per cent of what it sends never comes."""
    UPLINK_REPAIR = "uplink_repair"
    """Per cent of what it sends comes only when it is sent again."""
    DOWNLINK_LOSS = "downlink_loss"
    """Per cent of what is sent to it does not arrive the first time."""
    ROUND_TRIP = "round_trip"
    """Milliseconds to it and back."""
    JITTER = "jitter"
    """Milliseconds by which its sound arrives unevenly (RFC 3550)."""
    SILENT = "silent"
    """Nothing comes of a microphone or camera that it publishes."""


class Finding(msgspec.Struct, frozen=True):
    """`value` in the unit of its trouble; 0 where it has none."""

    trouble: Trouble
    value: float


class QualityReport(msgspec.Struct, frozen=True):
    """`findings`: the worst first; empty where all is well, or nothing is heard."""

    quality: Quality
    findings: tuple[Finding, ...]


class TrackRequest(msgspec.Struct, frozen=True):
    """What a publisher says about one m-line of its offer."""

    mid: str
    kind: TrackKind


class TrackInfo(msgspec.Struct, frozen=True):
    """A published track."""

    track_id: str
    participant_id: str
    kind: TrackKind
    codec: str
    """One of `opus`, `vp8`, `vp9`, `h264`, `av1`."""
    muted: bool = False


class StreamInfo(msgspec.Struct, frozen=True):
    """One received RTP stream (an encoding) of a track."""

    ssrc: int
    rid: str
    """Empty without simulcast."""
    codec: str
    payload_type: int
    clock_rate_hz: int
    channels: int
    """Audio channels by the negotiated fmtp (1 or 2), 0 for video."""
    fmtp: str
    connection: str = ""
    """The same for all streams that came over one transport: their sender reports are of one clock. Empty: not said."""


class Reception(NamedTuple):
    """How a received stream came, since its first packet. Numbers of packets but for the first."""

    round_trip_us: int
    """To its sender and back, 32 bits at most: the least of the last minute where the sender answers reference times
    (RFC 3611 4.5), else a mean of its answers to requests for packets; 0: not known."""
    received: int
    repaired: int
    """Of these: had been lost and came because they were asked for."""
    reordered: int
    """Of these: were overtaken by later ones."""
    missed: int
    """Did not come in their turn; how many of them are waited for is what is left of `repaired`, `reordered` and"""
    given_up: int
    """not waited for any longer."""
    asked_for: int
    """Requests for single packets."""


class SubscribedTrack(msgspec.Struct, frozen=True):
    """One m-line of a subscribe offer."""

    mid: str
    track_id: str
    participant_id: str
    kind: TrackKind


class Watch(msgspec.Struct, frozen=True):
    """What a client that offers to receive may see and hear; of what there is, the newest first."""

    participant_id: str = ""
    """Empty: of everybody in the room."""
    kinds: tuple[TrackKind, ...] = tuple(TrackKind)
    """Most wanted first."""


class PacketTap(Protocol):
    """Receives every packet of one encoding once, repaired ones late and out of order."""

    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None:
        """A packet was accepted.

        `arrival_s`: monotonic seconds. `index`: extended sequence number (grows beyond 16 bits, unique per encoding).
        `timestamp`: RTP timestamp, 32 bits. `payload`: without padding, may be empty.
        """

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None:
        """An RTCP sender report of the encoding (RFC 3550 6.4.1): 64-bit NTP timestamp, 32-bit RTP timestamp."""

    def picture(self, arrival_s: float, index: int, width: int, height: int, rid: str) -> None:
        """The key frame that begins with packet `index`, which was handed over before, has another size than the one
        before, in pixels, or is of another simulcast layer `rid`. The size is what the sender claims."""

    def muted(self, now_s: float, muted: bool) -> None:
        """The participant muted the track, or ended that; also told after the tap was opened on a muted track."""

    def reception(self, now_s: float, reception: Reception) -> None:
        """How the stream came until now: every few seconds, and before the end."""

    def end(self, now_s: float) -> None:
        """No packet will follow: the encoding, its track or the recording ended."""


class RecordingSink(Protocol):
    """Opens a tap for each encoding that is seen while the room is recorded."""

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> PacketTap | None:
        """None: this encoding is not recorded."""

    def speakers(self, dominant: str | None, speaking: Sequence[str]) -> None:
        """As in `PeerObserver.active_speakers`, of which it is told when the recording starts and when it changes."""

    def stalled(self, track_id: str, since_s: float | None) -> None:
        """Since then (monotonic seconds) nothing comes from the device of this recorded track (sfu.capture_watch);
        None: it does again."""


class PeerObserver(Protocol):
    """What a peer tells its owner. Calls come from the event loop; they only queue messages."""

    def subscribe_offer(self, offer_id: int, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        """Send this offer to the participant; the answer comes back through `Peer.subscribe_answer`."""

    def track_published(self, track: TrackInfo) -> None: ...

    def track_unpublished(self, track: TrackInfo) -> None: ...

    def active_speakers(self, dominant: str | None, speaking: Sequence[str]) -> None:
        """Who leads the conversation, or led until everybody fell silent; who speaks, the leading one first."""

    def delivery(self, track_id: str, state: DeliveryState) -> None:
        """How a subscribed picture reaches this participant has changed."""

    def connection_state(self, transport: TransportName, state: str) -> None:
        """`state`: `connecting`, `connected`, `failed` or `closed`."""

    def quality(self, report: QualityReport) -> None:
        """The quality of the participant's connection changed, or what is wrong with it."""

    def limit_reached(self, limit: Limit) -> None:
        """Tell the participant why something is missing; at most once in a while for each limit."""


class NegotiationError(ValueError):
    """An offer or answer that cannot be used. `id` is stable and part of the protocol."""

    def __init__(self, id: str, detail: str) -> None:
        super().__init__(detail)
        self.id = id
        self.detail = detail
