"""Every WebSocket message, as msgspec structs tagged by `type` (docs/protocol.md has an example of each).

Sizes are limits of a stranger's input; longer values are refused with the error id `bad_message`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from recorder.space import SpaceState
from sfu.interfaces import (
    DeliveryState,
    Finding,
    Quality,
    SubscribedTrack,
    TrackKind,
    TrackRequest,
    TransportName,
)
from signaling.page_reports import Errors, PageFigures

MAX_MESSAGE_BYTES = 128 * 1024
"""Largest WebSocket message taken: an SDP of 64 KiB with JSON escapes fits."""

Id = Annotated[str, Meta(max_length=32, pattern="^[a-z]{1,3}_[a-z2-7]{16}$")]
Sdp = Annotated[str, Meta(max_length=65_536)]
Mid = Annotated[str, Meta(max_length=16)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e12)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 50)]

StopReason = Literal["", "disk"]
"""`disk`: there was no space left."""

MAX_LINES = 8640
"""Of a shown picture: twice what 8K screens have."""


class Message(msgspec.Struct, tag_field="type", omit_defaults=False, kw_only=True):
    """Base of all messages."""


# --- records used inside messages


class TrackView(msgspec.Struct, kw_only=True):
    track_id: str
    kind: TrackKind
    codec: str
    muted: bool


class CaptureView(msgspec.Struct, kw_only=True):
    """How much of a participant's local copy is where. Bytes and milliseconds since the capture began."""

    captured_bytes: Bytes = 0
    verified_bytes: Bytes = 0
    """In the object store, size and SHA-256 compared."""
    captured_ms: Milliseconds = 0
    safe_ms: Milliseconds = 0
    """Everything captured before this moment is verified."""
    state: Literal["recording", "uploading", "done", "failed"] = "recording"


class ParticipantView(msgspec.Struct, kw_only=True):
    participant_id: str
    display_name: str
    role: Literal["host", "guest"]
    connected: bool
    """False while its WebSocket is gone and the grace period runs."""
    tracks: list[TrackView]
    capture: CaptureView | None = None
    quality: Quality | None = None
    """Of its connection; None: not known yet."""


class RecordingView(msgspec.Struct, kw_only=True):
    recording_id: str
    state: Literal["recording", "finishing", "finished", "failed"]
    started_ms: float
    """On the session clock."""
    stopped_ms: float | None = None


class IceServer(msgspec.Struct, kw_only=True):
    urls: list[str]
    username: str = ""
    credential: str = ""


class CaptureProfile(msgspec.Struct, kw_only=True):
    """What the page's MediaRecorder is to use."""

    video_bps: int
    audio_bps: int
    chunk_ms: int = 10_000
    chunk_bytes: int = 1 << 20


# --- from the participant


class Hello(Message, tag="hello"):
    """First message, within 5 s. `resume`: the page still has its peer connections."""

    token: Annotated[str, Meta(max_length=128)]
    resume: bool = False


class WebrtcOffer(Message, tag="webrtc_offer"):
    """`publish`: from the participant, with `tracks` naming the kind of every sending m-line (an m-line not named is
    unpublished). `subscribe`: from the server, with `offer_id`; `subscribed` says what each m-line carries."""

    transport: TransportName
    sdp: Sdp
    tracks: Annotated[list[TrackRequest], Meta(max_length=16)] = []
    offer_id: int = 0
    subscribed: list[SubscribedTrack] = []


class WebrtcAnswer(Message, tag="webrtc_answer"):
    """`offer_id` is that of the offer it answers."""

    transport: TransportName
    sdp: Sdp
    offer_id: int = 0


class IceCandidate(Message, tag="ice_candidate"):
    """Accepted and ignored: an ICE-lite server learns addresses from connectivity checks. Empty: end of candidates."""

    transport: TransportName
    candidate: Annotated[str, Meta(max_length=1024)] = ""
    mid: Mid | None = None


class IceRestart(Message, tag="ice_restart"):
    """From a page whose subscribe connection is interrupted: the next offer shall have new ICE credentials. (It
    restarts ICE of its publish connection itself, by an offer.) Refused with `connection_gone` where the server gave
    the connection up; the page then makes new ones."""

    transport: TransportName


class TrackMuted(Message, tag="track_muted"):
    """From a participant for its own track; to the others with `participant_id` filled in."""

    track_id: Id
    muted: bool
    participant_id: str = ""


class Layer(Message, tag="layer"):
    """From a page: in how many lines it shows somebody's picture, 0: not at all. It is sent the layer that fits."""

    track_id: Id
    height: Annotated[int, Meta(ge=0, le=MAX_LINES)]


class Heartbeat(Message, tag="heartbeat"):
    """Every 5 s from the page; the server answers with one. Nothing heard for 15 s: the connection is dead."""


class Clock(Message, tag="clock"):
    """The page sends its `performance.now()`; the answer carries it back with the session clock's time."""

    page_ms: float
    session_ms: float = 0


class CaptureStatus(Message, tag="capture_status"):
    """The state of the sender's local copy; to the others with `participant_id`. Verified figures are the server's."""

    recording_id: Id
    capture: CaptureView
    participant_id: str = ""


class PageReport(Message, tag="page_report"):
    """How it goes, from the page: every 10 s, and sooner when something went wrong. Kept for operators."""

    figures: PageFigures
    errors: Errors = {}


# --- from the server


class Welcome(Message, tag="welcome"):
    participant_id: str
    role: Literal["host", "guest"]
    session_id: str
    title: str
    participants: list[ParticipantView]
    """Everybody, the receiver included."""
    ice_servers: list[IceServer]
    session_ms: float
    heartbeat_ms: int
    recording: RecordingView | None
    recording_space: SpaceState
    """As `RecordingSpace.state`."""
    capture_profile: CaptureProfile
    video_codecs: list[str]
    """In order of preference, as in config.toml: `VP8`, `VP9`, `H264`, `AV1`."""
    max_video_bps: int
    simulcast: bool
    """The page may send its camera in several sizes."""
    temporal_layers: bool
    """VP9 and AV1 may be sent in temporal layers."""
    resumed: bool
    """False: the server has no peer connections for this participant; the page makes new ones."""


class ParticipantJoined(Message, tag="participant_joined"):
    participant: ParticipantView


class ParticipantLeft(Message, tag="participant_left"):
    """From the page (without fields): leave now. From the server: somebody left."""

    participant_id: str = ""
    reason: Literal["left", "lost", "replaced", "closed"] = "left"


class ParticipantUpdated(Message, tag="participant_updated"):
    """`connected` changed."""

    participant: ParticipantView


class ConnectionQuality(Message, tag="connection_quality"):
    """The quality of somebody's connection changed. `findings`, the worst first, is for the participant itself alone,
    which is also told when they change; empty for the others."""

    participant_id: str
    quality: Quality
    findings: list[Finding] = []


class TrackPublished(Message, tag="track_published"):
    participant_id: str
    track: TrackView


class TrackUnpublished(Message, tag="track_unpublished"):
    participant_id: str
    track_id: str


class ActiveSpeakers(Message, tag="active_speakers"):
    """After `welcome`, and when it changed, at most every 300 ms. `dominant`: who leads the conversation, or led until
    everybody fell silent. `speaking`: who speaks, at most six; the dominant one first, then those who spoke first."""

    dominant: str | None
    speaking: list[str]


class Subscription(Message, tag="subscription"):
    """How somebody's picture reaches the receiver over its own network has changed; a picture that is new is whole."""

    track_id: str
    state: DeliveryState


class RecordingStatus(Message, tag="recording_status"):
    recording: RecordingView
    reason: StopReason = ""
    """Why it ended, if not because somebody wanted it to."""


class RecordingSpace(Message, tag="recording_space"):
    """What may be recorded with the space on the studio's disk has changed: `low`: nothing new; `full`: nothing."""

    state: SpaceState


class Notice(Message, tag="notice"):
    """To hosts: something is wrong with what is recorded, or (`over`) is not any more. An open one is told again to a
    host who connects."""

    code: str
    """Stable, listed in docs/protocol.md."""
    take_id: str
    """Empty: it is not of one take."""
    participant_id: str
    """Whose take it is; empty: nobody's."""
    text: str
    """In words, one or two sentences."""
    since_ms: float
    """Since when it is so, on the session clock."""
    over: bool


class Error(Message, tag="error"):
    """A message was refused, or a limit was reached. `id` is stable and listed in docs/protocol.md. `fatal`: the server
    closes the connection."""

    id: str
    detail: str
    fatal: bool = False


FromParticipant = (
    Hello
    | WebrtcOffer
    | WebrtcAnswer
    | IceCandidate
    | IceRestart
    | TrackMuted
    | Layer
    | Heartbeat
    | Clock
    | CaptureStatus
    | PageReport
    | ParticipantLeft
)
FromServer = (
    Welcome
    | WebrtcOffer
    | WebrtcAnswer
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantUpdated
    | ConnectionQuality
    | TrackPublished
    | TrackUnpublished
    | TrackMuted
    | ActiveSpeakers
    | Subscription
    | RecordingStatus
    | RecordingSpace
    | Notice
    | CaptureStatus
    | Heartbeat
    | Clock
    | Error
)

decode = msgspec.json.Decoder(FromParticipant).decode
encode = msgspec.json.Encoder().encode
