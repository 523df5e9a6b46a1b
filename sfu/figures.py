"""What the media plane tells about itself: plain records for operators, metrics and whoever judges connections.

Counters grow over the life of what they belong to. Bitrates and frame rates are means since the same figure was last
read by anybody, at least a second (`sfu.rate`). None: not known. docs/operator.md explains each figure.
"""

import enum

import msgspec

from sfu.interfaces import QualityReport


class Reason(enum.StrEnum):
    """Why a viewer is sent what it is of a track, and no more."""

    BEST = "best"
    """It is the best that its sender sends."""
    TILE = "tile"
    """The picture is not shown larger."""
    SERVER_MAXIMUM = "server_maximum"
    """Viewers get no larger one (`media.max_viewer_lines`)."""
    KEY_FRAME = "key_frame"
    """That of the wanted layer is waited for."""
    NETWORK = "network"
    """That of the viewer carries a smaller layer, fewer frames or none (sfu.division)."""
    NO_MEDIA = "no_media"
    """Nothing comes of the track."""
    NOT_AMONG_LOUDEST = "not_among_loudest"
    """Others are louder."""
    MUTED = "muted"
    """Its publisher switched it off: silence or nothing comes."""
    HIDDEN = "hidden"
    """The viewer does not show it."""
    NOT_TAKEN = "not_taken"
    """The viewer has not answered the offer yet, refused it, or its connection does not stand; or nothing is there to
    be carried."""


BOUNDS = ("delay", "loss", "queue", "remb")
"""What holds an estimate where it is: growing queues, loss, a queue that stands and is drained, or a REMB."""


class EstimateFigures(msgspec.Struct, kw_only=True):
    """What the participant's network is taken to carry to it (sfu.congestion)."""

    target_bps: int
    """Everything that may be sent: media, retransmissions, padding."""
    bound: str
    """One of BOUNDS."""
    state: str
    """Of the bound by delay: `start` before anything is known, `increase`, `hold` or `decrease`."""
    useful_bps: int
    """What its subscriptions could use: nothing is probed beyond."""
    acknowledged_bps: int | None
    """What arrives. None, as `queue_ms`, without transport-wide feedback."""
    queue_ms: float | None
    """How long packets stand in the queues of the path."""
    loss: float
    """As the bound by loss saw it last, 0..1."""
    probes: int
    probes_answered: int
    """Those that showed a rate."""


class TransportFigures(msgspec.Struct, kw_only=True):
    """One peer connection."""

    state: str
    """`new`, `connecting`, `connected`, `failed` or `closed`."""
    srtp_profile: str | None = None
    address: str | None = None
    """Where the participant's packets come from at present."""
    checks: int = 0
    """Valid connectivity checks."""
    last_check_s: float | None = None
    """How long ago the last one was."""
    received_octets: int = 0
    """SRTP and SRTCP, with their headers."""
    sent_octets: int = 0
    """Payloads of media, retransmissions left out."""
    estimate: EstimateFigures | None = None
    """None: its receiver does not say what arrives, or nothing is sent."""
    dropped: dict[str, int] = {}
    """Received datagrams that were not taken, by reason; a reason without any is left out."""


class EncodingFigures(msgspec.Struct, kw_only=True):
    """One received RTP stream of a track."""

    ssrc: int
    rid: str
    size: tuple[int, int] | None
    """Width and height of the last key frame, where the payload says it."""
    temporal_layers: int
    fps: float | None
    """None for sound."""
    bitrate_bps: int
    packets: int
    octets: int
    missed: int
    """Sequence numbers that did not come in their turn."""
    reordered: int
    """Of those: came by themselves, before they were asked for."""
    repaired: int
    """Of those: came after they had been asked for."""
    given_up: int
    """Of those: never came in time."""
    nacked: int
    """Sequence numbers asked for, repetitions included."""
    jitter_ms: float
    key_frames: int
    key_frame_requests: int
    replayed: int
    refused: int
    """Not authentic, or of another payload type."""
    tap_failures: int
    """Recordings of this stream that ended because the recorder failed."""
    viewers: int
    """Subscriptions that take it or wait for its key frame."""


class SoundFigures(msgspec.Struct, kw_only=True):
    """Of a track with sound; levels are what the sender says, in dBov."""

    level_dbov: int | None
    """None, as in the next two: its packets carry no level."""
    noise_dbov: int | None
    speaks: bool | None
    forwarded: bool
    reason: str
    """Why it is forwarded or not: `all`, `among_loudest`, `not_among_loudest`, `no_level` or `no_microphone`."""


class TrackFigures(msgspec.Struct, kw_only=True):
    track_id: str
    kind: str
    codec: str
    muted: bool
    repair: bool
    """Missing packets are asked for."""
    sound: SoundFigures | None
    """None for pictures."""
    encodings: list[EncodingFigures]


class SubscriptionFigures(msgspec.Struct, kw_only=True):
    """One track on its way to one participant."""

    track_id: str
    ssrc: int
    rid: str | None
    """Of the encoding that is sent; None: nothing is sent."""
    wanted_rid: str | None
    """Of the encoding that it is to have: another one while its key frame is waited for."""
    fitting_rid: str | None
    """Of the encoding that fits where it is shown, whatever the viewer's network carries; None: none does."""
    temporal_layer: int | None
    """The highest that is sent; None: all of them."""
    wanted_height: int | None
    """Lines of the picture as the viewer shows it; None: not said."""
    reason: Reason
    bitrate_bps: int
    packets: int
    octets: int
    lost: int
    """As the viewer reports it, before repair."""
    loss: float
    """The same for the last interval of its reports, 0..1."""
    rtt_ms: float | None
    jitter_ms: float
    nacked: int
    """Sequence numbers that the viewer asked for, repetitions included."""
    retransmitted: int
    requested_again: int
    """Sequence numbers asked for less than a round trip after they had been sent again."""
    not_retransmitted: int
    """Too old, unknown, or too many at once."""
    pli: int
    """Key frames that the viewer asked for (RFC 4585),"""
    fir: int
    """and by the other way (RFC 5104), repetitions included."""


class ParticipantFigures(msgspec.Struct, kw_only=True):
    participant_id: str
    rtt_ms: float | None
    connection: QualityReport | None
    """Its quality as everybody is told, and what is wrong; None: nothing is known yet."""
    publish: TransportFigures
    subscribe: TransportFigures
    left_out: list[str]
    """Tracks that it is not sent because there are too many."""
    tracks: list[TrackFigures]
    subscriptions: list[SubscriptionFigures]


class RoomFigures(msgspec.Struct, kw_only=True):
    room_id: str
    dominant: str | None
    """Participant who speaks, by what is announced."""
    speaking: list[str]
    loudest: int | None
    """How many microphones are forwarded at once; None: all."""
    participants: list[ParticipantFigures]
