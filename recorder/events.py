"""What the node writes into the event journal of a recording: all that the recorder process must know beside packets.

Times are int64 nanoseconds on the session clock.
"""

import msgspec


class RecordingStarted(msgspec.Struct, tag_field="type", tag="recording_started", kw_only=True):
    """First event of every events journal."""

    recording_id: str
    session_id: str
    title: str
    started_ns: int


class ParticipantSeen(msgspec.Struct, tag_field="type", tag="participant_seen", kw_only=True):
    participant_id: str
    display_name: str
    role: str
    at_ns: int | None = None
    """When it joined, or the recording began with it; None in journals of versions that did not say so."""


class ParticipantGone(msgspec.Struct, tag_field="type", tag="participant_gone", kw_only=True):
    """It left, or did not come back from a lost connection."""

    participant_id: str
    at_ns: int


class SpeakersChanged(msgspec.Struct, tag_field="type", tag="speakers_changed", kw_only=True):
    at_ns: int
    dominant: str | None
    """Who leads the conversation, or led until everybody fell silent."""
    speaking: list[str]
    """The leading one first."""


class TakeOpened(msgspec.Struct, tag_field="type", tag="take_opened", kw_only=True):
    take_id: str
    participant_id: str
    kind: str
    slot: int


class TrackMuteChanged(msgspec.Struct, tag_field="type", tag="track_mute_changed", kw_only=True):
    take_id: str
    muted: bool
    at_ns: int


class CaptureOpened(msgspec.Struct, tag_field="type", tag="capture_opened", kw_only=True):
    """A browser began its local copy."""

    segment_id: str
    take_id: str
    content_type: str
    start_ns: int
    bound_ns: int


class ChunkVerified(msgspec.Struct, tag_field="type", tag="chunk_verified", kw_only=True):
    segment_id: str
    index: int
    size_bytes: int
    sha256: str
    object_key: str
    end_ms: float


class CaptureFinished(msgspec.Struct, tag_field="type", tag="capture_finished", kw_only=True):
    """All `chunks` are verified: join them."""

    segment_id: str
    chunks: int


class OffRecordMarked(msgspec.Struct, tag_field="type", tag="off_record_marked", kw_only=True):
    """From `start_ns` to `stop_ns` nobody's sound and picture may be given out."""

    off_record_id: str
    start_ns: int
    stop_ns: int
    marked_by: str
    """The participant, a host; empty: whoever has the host link, from outside of the room."""
    marked_ns: int


class OffRecordUnmarked(msgspec.Struct, tag_field="type", tag="off_record_unmarked", kw_only=True):
    """Taken back for good: what is marked again has another id."""

    off_record_id: str
    at_ns: int


class NoticeGiven(msgspec.Struct, tag_field="type", tag="notice_given", kw_only=True):
    """Hosts were told that something is wrong with what is recorded."""

    code: str
    """As in docs/protocol.md."""
    take_id: str
    """Empty: it is not of one take."""
    text: str
    """What they read."""
    since_ns: int
    """Since when it is so."""
    at_ns: int


class NoticeEnded(msgspec.Struct, tag_field="type", tag="notice_ended", kw_only=True):
    """It is over, or the recording is."""

    code: str
    take_id: str
    at_ns: int


class Purged(msgspec.Struct, tag_field="type", tag="purged", kw_only=True):
    """From here on these ranges are to be gone for good, with all that files were made from: never taken back."""

    off_record_ids: list[str]
    purged_by: str
    """As `OffRecordMarked.marked_by`."""
    at_ns: int


class RecordingStopped(msgspec.Struct, tag_field="type", tag="recording_stopped", kw_only=True):
    stopped_ns: int
    reason: str = ""
    """`disk`: the spool's disk was full. Empty: by a host, because everybody had left, or not known."""


class ClockNoted(msgspec.Struct, tag_field="type", tag="clock_noted", kw_only=True):
    """What the wall clock said, every few seconds while it is recorded."""

    at_ns: int
    wall_ns: int
    """Unix time."""
    boot_id: str


RecordingEvent = (
    RecordingStarted
    | ParticipantSeen
    | ParticipantGone
    | SpeakersChanged
    | TakeOpened
    | TrackMuteChanged
    | CaptureOpened
    | ChunkVerified
    | CaptureFinished
    | OffRecordMarked
    | OffRecordUnmarked
    | Purged
    | NoticeGiven
    | NoticeEnded
    | ClockNoted
    | RecordingStopped
)
