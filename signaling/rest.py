"""Bodies of the REST interface as msgspec structs (docs/protocol.md has an example of each).

Requests are a stranger's input: every field has a limit and unknown fields are refused, so that a misspelt one is
noticed. `decode` is the only way a body gets in.
"""

import asyncio
from typing import Annotated, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.report import Grade
from sfu.interfaces import TrackKind
from signaling import text
from signaling.capture_progress import MAX_CHUNKS
from signaling.messages import Id, RecordingView
from signaling.problems import Problem

MAX_BODY_BYTES = 64 * 1024
"""Largest JSON body; enforced by the application's `client_max_size`."""
BODY_S = 10.0
"""A body of that size that takes longer is meant to."""
MAX_CHUNK_BYTES = 8 * 1024 * 1024

Text = Annotated[str, Meta(max_length=text.MAX_RAW)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
ChunkBytes = Annotated[int, Meta(ge=1, le=MAX_CHUNK_BYTES)]
SessionMs = Annotated[float, Meta(ge=0, le=1e12)]
CaptureType = Annotated[str, Meta(max_length=64, pattern=r"^(video|audio)/webm(;\s?codecs=\"?[A-Za-z0-9.,_-]+\"?)?$")]


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of request bodies."""


class Reply(msgspec.Struct, kw_only=True):
    """Base of response bodies."""


# --- sessions


class CreateSession(Request):
    title: Text
    max_participants: Annotated[int, Meta(ge=2, le=100)] | None = None


class SessionCreated(Reply):
    session_id: str
    title: str
    host_secret: str
    host_url: str
    guest_url: str
    max_participants: int


class SessionView(Reply):
    session_id: str
    title: str
    created_at: str
    max_participants: int
    participants: int
    """Connected ones."""
    recording: bool


class Join(Request):
    display_name: Text
    host_secret: Annotated[str, Meta(max_length=128)] | None = None


class Joined(Reply):
    participant_id: str
    token: str
    role: Literal["host", "guest"]
    display_name: str
    ws_url: str


# --- programs


class CreateIngest(Request):
    display_name: Text


class IngestCreated(Reply):
    participant_id: str
    display_name: str
    whip_url: str
    token: str


class CreateEgress(Request):
    display_name: Text
    participant_id: Id | None = None
    """Whose tracks; None: everybody's."""
    kinds: Annotated[list[TrackKind], Meta(min_length=1, max_length=len(TrackKind))] | None = None
    """Most wanted first; None: all."""


class EgressCreated(Reply):
    participant_id: str
    display_name: str
    whep_url: str
    token: str


# --- off the record


class MarkOffRecord(Request):
    """Either both ends, or `last_s`."""

    start_ms: SessionMs | None = None
    stop_ms: SessionMs | None = None
    last_s: Annotated[float, Meta(ge=1, le=86_400)] | None = None
    """Seconds before now."""


class PurgeOffRecord(Request):
    confirm: Id
    """The recording's id."""


class OffRecordView(Reply):
    off_record_id: str
    start_ms: float
    stop_ms: float
    marked_by: str | None
    """The participant, a host; None: whoever has the host link, from outside of the room."""
    marked_ms: float
    """Session time."""
    state: Literal["marked", "redacted", "purging", "purged"]
    """`redacted`: there are files without it of all that is stored. `purged`: nothing else is left."""


class OffRecordList(Reply):
    off_record: list[OffRecordView]
    """In the order of time; they may overlap."""


# --- recordings


class RecordingList(Reply):
    recordings: list[RecordingView]


class RecordedParticipant(Reply):
    participant_id: str
    display_name: str
    role: str


class SegmentView(Reply):
    segment_id: str
    copy: Literal["server", "local"]
    state: Literal["capturing", "finishing", "stored", "failed"]
    codec: str
    content_type: str
    file_name: str
    size_bytes: int
    sha256: str
    start_ns: int
    """First sample, on the session clock."""
    start_bound_ns: int
    duration_ns: int
    problem: str
    play_url: str | None
    """None until the file is in the store."""
    download_url: str | None
    off_record: Literal["", "pending", "redacted"]
    """Something in it is off the record: the file without it is being made, or this is it."""


class TakeView(Reply):
    take_id: str
    participant_id: str
    kind: str
    slot: int
    grade: Grade | None
    """Of its server copy (docs/producer.md); None: there is no report yet, or no server copy."""
    reasons: list[str]
    """Sentences, the worst first."""
    segments: list[SegmentView]


class RecordingDetail(Reply):
    recording_id: str
    state: Literal["recording", "finishing", "finished", "failed"]
    started_at: str
    started_ms: float
    stopped_ms: float | None
    grade: Grade | None
    """Of its worst take."""
    report_url: str | None
    """The integrity report as an attachment; None until it is written."""
    participants: list[RecordedParticipant]
    takes: list[TakeView]
    off_record: list[OffRecordView]


# --- local copies


class OpenCapture(Request):
    kind: Literal["camera", "microphone"]
    content_type: CaptureType
    start_ms: SessionMs
    """Session time of the first sample."""
    bound_ms: Annotated[float, Meta(ge=0, le=60_000)]
    capture_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None
    """The page's own name for it: asking again with the same one gives the same segment."""


class CaptureOpened(Reply):
    segment_id: str


class AnnounceChunk(Request):
    size_bytes: ChunkBytes
    sha256: Sha256


class ChunkUrl(Reply):
    url: str
    method: Literal["PUT"]
    headers: dict[str, str]
    expires_in_s: int


class ConfirmChunk(Request):
    size_bytes: ChunkBytes
    sha256: Sha256
    end_ms: SessionMs


class ChunkConfirmed(Reply):
    verified_bytes: int
    safe_ms: float


class FinishCapture(Request):
    chunks: Annotated[int, Meta(ge=0, le=MAX_CHUNKS)]


class CaptureFinished(Reply):
    segment_id: str
    state: Literal["finishing", "stored", "failed"]


class Empty(Request):
    """No body, or an object without fields."""


_Body = TypeVar("_Body", bound=Request)


async def read(request: web.Request) -> bytes:
    """The body; raises Problem `body_too_slow`, or `bad_request` to who is gone; is refused beyond MAX_BODY_BYTES."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise Problem("body_too_slow") from None
    except ConnectionError:
        raise Problem("bad_request", "the body did not come whole") from None


async def decode(request: web.Request, type: type[_Body]) -> _Body:
    """The body as `type`; raises Problem `not_json` or `bad_request`."""
    body = await read(request)
    if request.content_type != "application/json":
        raise Problem("not_json")
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem("bad_request", str(error)) from None


async def decode_empty(request: web.Request) -> None:
    """Refuse a body that means something."""
    if request.body_exists:
        await decode(request, Empty)


def cleaned(value: str, limit: int, field: str) -> str:
    try:
        return text.clean(value, limit)
    except text.TextError as error:
        raise Problem("bad_request", f"`{field}` {error}") from None


def reply(body: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
