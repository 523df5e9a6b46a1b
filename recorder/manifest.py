"""The manifest (version 1): what a recording consists of, as JSON beside its files.

Times are int64 nanoseconds on the session clock. Fields are added, never changed, within a version. The JSON Schema of
it is docs/manifest.schema.json, made from here (`python -m recorder.manifest`).
"""

import importlib.metadata
import sys
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

MANIFEST_VERSION = 1
CONTENT_TYPE = "application/json"


class Interval(msgspec.Struct, frozen=True):
    from_ns: int
    to_ns: int


class Gap(msgspec.Struct, frozen=True):
    """Where the source has nothing. In an audio file it is filled with concealment, in a video file left empty."""

    at_ns: int
    duration_ns: int
    reason: str
    """`lost`: packets never came. `unsent`: the sender gave up frames for a newer key frame. `dtx`: the sender left
    silence out (RFC 7587 3.1.3). `static`: a screen did not change. `paused`: nothing was sent. `clock`: the sender's
    RTP clock had stopped."""


class ClockCorrection(msgspec.Struct, frozen=True):
    """The sender's RTP clock and the session clock disagreed (`recorder.timeline`)."""

    at_ns: int
    measured_ns: int
    applied_ns: int


class MapPoint(msgspec.Struct, frozen=True):
    """What a file shows at a time in it was captured at a time of the session. Between two points it is a line."""

    file_ns: int
    """As players count: 0 is the beginning."""
    session_ns: int
    bound_ns: int
    """Error bound of `session_ns`, +-."""


class Picture(msgspec.Struct, frozen=True):
    """From here on the picture has this size, or is another simulcast layer."""

    at_ns: int
    """When the key frame came with which it begins."""
    width: int
    height: int
    rid: str = ""
    """Of the layer; empty without simulcast."""


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """How the stream came to the server, since the participant began to send it: the recording may have begun later.
    Packets, but for the first."""

    round_trip_ms: float
    """To the participant and back: the least of the last minute where its program answers reference times (RFC 3611
    4.5), else a mean of its answers to requests for lost packets; 0: not known."""
    received: int
    repaired: int
    """Of these: had been lost, and came because they were asked for."""
    reordered: int
    """Of these: were overtaken."""
    missed: int
    """Did not come in their turn."""
    given_up: int
    """Never came."""
    asked_for: int


class PacketCounts(msgspec.Struct, kw_only=True):
    """received = written + every other field up to `not_written`: no packet is unaccounted for."""

    received: int = 0
    """In the journal."""
    written: int = 0
    """Whose frames are in the file."""
    duplicate: int = 0
    late: int = 0
    """Came after its place was given up."""
    stray: int = 0
    """Sequence number or timestamp far from all others."""
    empty: int = 0
    """Padding without payload."""
    malformed: int = 0
    incomplete: int = 0
    """Of frames that miss a packet."""
    cut_short: int = 0
    """Of frames whose end the sender gave up for a newer key frame."""
    awaiting_key: int = 0
    """Of frames that refer to what is missing, or came before the first key frame."""
    overlapping: int = 0
    """Of frames that do not lie behind the frame before."""
    not_written: int = 0
    """All of a journal whose file could not be made."""
    unread: int = 0
    """By how much the number of packets that the journal's end names differs from `received`."""
    lost: int = 0
    """Sequence numbers that never came, or late."""
    dropped: int = 0
    """The node had no room for it: its disk hung."""
    concealed: int = 0
    """Concealment packets in the file."""


class Redacted(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a segment without what is off the record, on the same timeline: same first sample, same bound."""

    object_key: str
    """Empty: nothing is left of it, or see `problem`."""
    file_name: str
    size_bytes: int
    sha256: str
    off_record: list[str]
    """Ids of the ranges that were left out."""
    left_out: list[Interval] = []
    """Where sound is silent and pictures are missing, by stream: a picture begins again with a key frame."""
    problem: str = ""
    """Why it could not be made."""
    whole_gone: bool = False
    """The whole file was purged, with all that it was made from."""


class Segment(msgspec.Struct, kw_only=True):
    """One uninterrupted file of a take."""

    segment_id: str
    copy: str
    """`server` or `local`."""
    state: str
    """`stored`; `capturing` or `finishing`: not there yet; `failed`: see `problem`."""
    codec: str = ""
    content_type: str = ""
    object_key: str = ""
    file_name: str = ""
    size_bytes: int = 0
    sha256: str = ""
    start_ns: int = 0
    """When what the file shows at its beginning was captured."""
    start_bound_ns: int = 0
    """Error bound of `start_ns`, +-."""
    map: list[MapPoint] = []
    """Of a server file: at its beginning, every minute, on both sides of each correction, at its end; both times grow.
    Empty for a local copy, and for a file of a version that did not make it: then `start_ns` is all."""
    map_basis: str = ""
    """`shared`: by sender reports of all streams that came over the same connection, so that sound and picture of a
    participant fit each other better than the bound says. `own`: by those of this stream. `arrival`: without any."""
    drift_ppm: float | None = None
    """By how much the session clock is faster than the sender's clock of this stream; None: not known, as in a file of
    less than a minute."""
    duration_ns: int = 0
    """To the end of the last audio frame; of a picture, until the track ended."""
    width: int = 0
    height: int = 0
    """The largest picture in it, in pixels; 0: sound, or not known."""
    spatial_layers: int = 0
    """Of each picture, where its sender used several (VP9 SVC): many players show the smallest."""
    pictures: list[Picture] = []
    """In the order of time, the first one with the first key frame."""
    pictures_omitted: int = 0
    """Beyond the cap on `pictures`."""
    gaps: list[Gap] = []
    gaps_omitted: int = 0
    """Beyond the cap on `gaps`."""
    corrections: list[ClockCorrection] = []
    packets: PacketCounts | None = None
    """None for a local copy."""
    reception: Reception | None = None
    """None for a local copy, and where the node did not come to say it."""
    made_by: str = ""
    """Version of the program that made the file."""
    torn: bool = False
    """The node stopped without ending the journal: what it had not yet written is missing at the end."""
    problem: str = ""
    redacted: Redacted | None = None
    """Instead of the whole file where something in it is off the record: of the whole file neither `object_key` and
    `file_name` nor size and digest are stated then. None there: it is not made yet."""


class Mute(msgspec.Struct, frozen=True):
    """The participant had muted its microphone, or switched its camera off: silence and black are meant."""

    from_ns: int
    to_ns: int


class Speakers(msgspec.Struct, frozen=True):
    """From here on, by the microphones' levels."""

    at_ns: int
    dominant: str | None
    """The participant who leads the conversation, or led until everybody fell silent."""
    speaking: list[str]
    """Participants who speak, the leading one first."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What hosts were told while it was recorded."""

    code: str
    take_id: str
    """Empty: it is not of one take."""
    text: str
    since_ns: int
    """Since when it was so."""
    at_ns: int
    """When they were told."""
    until_ns: int
    """When it was over, or the recording was."""


class Take(msgspec.Struct, kw_only=True):
    """One source slot of one participant."""

    take_id: str
    participant_id: str
    kind: str
    slot: int
    segments: list[Segment] = []
    mutes: list[Mute] = []
    """In the order of time; they do not touch. What is muted when the recording ends is so until its end."""


class Participant(msgspec.Struct, kw_only=True):
    participant_id: str
    display_name: str
    role: str
    present: list[Interval] = []
    """While the recording ran."""


class OffRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A range that a host took off the record."""

    off_record_id: str
    start_ns: int
    stop_ns: int
    marked_by: str
    """The participant; empty: whoever has the host link, from outside of the room."""
    marked_ns: int
    """When it was marked."""
    purged_by: str = ""
    """As `marked_by`."""
    purged_ns: int | None = None
    """When a host had it purged; None: nobody did."""


class Boot(msgspec.Struct, frozen=True):
    """A run of the machine that recorded: session time is its monotonic clock, less a constant."""

    boot_id: str
    from_ns: int
    """When it was first written about the recording."""


class WallStep(msgspec.Struct, frozen=True):
    """The wall clock was moved, in the ten seconds before; session time was not."""

    at_ns: int
    step_ns: int
    """Positive: it was put forward."""


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Where the session clock is among the others."""

    zero_wall_ns: int
    """Unix time of the session clock's zero, as the wall clock had it then."""
    boots: list[Boot] = []
    """In the order of time."""
    wall_steps: list[WallStep] = []
    """In the order of time, of 20 ms at least; at most 1,000."""


class Manifest(msgspec.Struct, kw_only=True):
    manifest_version: Annotated[int, Meta(ge=MANIFEST_VERSION, le=MANIFEST_VERSION)] = MANIFEST_VERSION
    software: str = ""
    """Version of the program that wrote the manifest."""
    session_id: str
    recording_id: str
    title: str
    started_ns: int
    stopped_ns: int
    stop_reason: str = ""
    """`disk`: the server's disk was full. Empty: by a host, because everybody had left, or not known."""
    clock: Clock | None = None
    participants: list[Participant] = []
    takes: list[Take] = []
    off_record: list[OffRecord] = []
    """In the order of time; they may overlap."""
    speakers: list[Speakers] = []
    """In the order of time; nobody speaks before the first."""
    speakers_omitted: int = 0
    """Beyond the cap on `speakers`."""
    notices: list[Notice] = []
    """In the order in which they were given."""
    notices_omitted: int = 0
    """Beyond the cap on `notices`."""


def software() -> str:
    """Name and version of this program."""
    return f"stemroom {importlib.metadata.version('stemroom')}"


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a manifest. Later versions of the program may add fields."""
    made = msgspec.json.schema(Manifest)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Manifest of a Stemroom recording, version {MANIFEST_VERSION}",
        **made,
    }


def encode(manifest: Manifest) -> bytes:
    """Readable JSON; the same manifest always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


decode = msgspec.json.Decoder(Manifest).decode


def recording_prefix(session_id: str, recording_id: str) -> str:
    return f"sessions/{session_id}/recordings/{recording_id}"


def without_whole_file(segment: Segment, redacted: Redacted | None) -> Segment:
    """As a manifest shows a segment in which something is off the record."""
    return replace(segment, object_key="", file_name="", size_bytes=0, sha256="", redacted=redacted)


def manifest_key(session_id: str, recording_id: str) -> str:
    return f"{recording_prefix(session_id, recording_id)}/manifest.json"


def chunks_prefix(session_id: str, recording_id: str, segment_id: str) -> str:
    """How the keys of a local copy's chunks begin."""
    return f"{recording_prefix(session_id, recording_id)}/local/{segment_id}/chunks/"


def file_key(session_id: str, recording_id: str, copy: str, file_name: str) -> str:
    """`file_name`: segment id and extension."""
    return f"{recording_prefix(session_id, recording_id)}/{copy}/{file_name}"


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n")
