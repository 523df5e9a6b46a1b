"""What a recording consists of: participants, takes, segments, and short-lived URLs of the files that are stored.

Guarantees: file names that people see are plain ASCII made of the display name, and never part of a path here.
"""

import asyncio
import re
import unicodedata
from collections import Counter
from typing import Literal, cast

import msgspec
import structlog

from recorder.live_files import LiveSegment
from recorder.report import Grade, report_key
from signaling import off_record, rest
from signaling.clock import NS_PER_MS
from signaling.live_api import LiveDesk
from signaling.problems import Problem
from storage.catalog import Catalog
from storage.models import Recording, Segment, Take
from storage.objects import ObjectNotFound, ObjectStore, ObjectStoreError

log = structlog.get_logger()

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""Some 20,000 segments."""
MAX_REPORT_BYTES = 16 * 1024 * 1024
"""Some 50 kB an hour and file."""
REPORT_S = 3.0
"""A store that is away delays the list of files by no more."""
MAX_SLUG = 40

SUFFIXES = {"video/webm": "webm", "audio/webm": "webm", "video/x-matroska": "mkv", "audio/x-matroska": "mkv"}


def state_of(row: Recording) -> Literal["recording", "finishing", "finished", "failed"]:
    """The catalog's check constraint allows no other."""
    return cast(Literal["recording", "finishing", "finished", "failed"], row.state)


async def detail(
    catalog: Catalog, store: ObjectStore, live: LiveDesk, recording: Recording, url_life_s: int
) -> rest.RecordingDetail:
    running = {segment.segment_id: segment for segment in await live.segments(recording.id)}
    takes = await catalog.takes(recording.id)
    segments = [*await catalog.segments(recording.id)]
    known = {segment.id for segment in segments}
    segments += [_running(segment) for id, segment in running.items() if id not in known]
    redactions = await catalog.redactions(recording.id)
    report = await _report(store, recording)
    ranges = await catalog.off_record(recording.id)  # last: what was marked meanwhile is held back
    recorded = {take.participant_id for take in takes}
    people = {row.id: row for row in await catalog.participants(recording.session_id) if row.id in recorded}
    grades = {take.take_id: take for take in report.takes} if report is not None else {}
    numbers: Counter[tuple[str, str]] = Counter()

    def view(take: Take, segment: Segment) -> rest.SegmentView:
        numbers[(take.id, segment.copy)] += 1
        number = numbers[(take.id, segment.copy)]
        offer = off_record.offer(ranges, redactions.get(segment.id), segment)
        name = file_name(people[take.participant_id].display_name, take, segment, number, offer.off_record)
        made = _segment(store, segment, offer, name, url_life_s)
        if offer.off_record or made.play_url:
            return made
        return _playable(made, running.get(segment.id), live, recording.id, url_life_s)

    return rest.RecordingDetail(
        recording_id=recording.id,
        state=state_of(recording),
        started_at=recording.started_at.isoformat(),
        started_ms=recording.started_ns / NS_PER_MS,
        stopped_ms=None if recording.stopped_ns is None else recording.stopped_ns / NS_PER_MS,
        grade=report.grade if report is not None else None,
        report_url=_report_url(store, recording, url_life_s) if report is not None else None,
        participants=[
            rest.RecordedParticipant(participant_id=row.id, display_name=row.display_name, role=row.role)
            for row in people.values()
        ],
        takes=[
            rest.TakeView(
                take_id=take.id,
                participant_id=take.participant_id,
                kind=take.kind,
                slot=take.slot,
                grade=grades[take.id].grade if take.id in grades else None,
                reasons=grades[take.id].reasons if take.id in grades else [],
                segments=[view(take, segment) for segment in segments if segment.take_id == take.id],
            )
            for take in takes
        ],
        off_record=off_record.views(recording, ranges, segments, redactions),
    )


class _TakeGrade(msgspec.Struct):
    """What is shown of `recorder.report.TakeReport`; the figures are not looked at."""

    take_id: str
    grade: Grade | None
    reasons: list[str]


class _Grades(msgspec.Struct):
    grade: Grade | None
    takes: list[_TakeGrade]


_decode_grades = msgspec.json.Decoder(_Grades).decode


async def _report(store: ObjectStore, recording: Recording) -> _Grades | None:
    """None: it is not written yet, or cannot be had now; the files are shown all the same."""
    if recording.state != "finished":
        return None
    key = report_key(recording.session_id, recording.id)
    try:
        async with asyncio.timeout(REPORT_S):
            return _decode_grades(b"".join([piece async for piece in store.get(key, length=MAX_REPORT_BYTES)]))
    except ObjectNotFound:
        return None  # made by an earlier version
    except (ObjectStoreError, TimeoutError, msgspec.MsgspecError) as error:
        log.warning("report_unreadable", recording_id=recording.id, reason=str(error)[:500])
        return None


def _report_url(store: ObjectStore, recording: Recording, url_life_s: int) -> str:
    key = report_key(recording.session_id, recording.id)
    return store.presign_get(key, expires_s=url_life_s, filename=f"{recording.id}-report.json")


async def manifest(store: ObjectStore, recording: Recording) -> bytes:
    """The manifest as the recorder wrote it; raises Problem `manifest_not_ready`."""
    key = f"sessions/{recording.session_id}/recordings/{recording.id}/manifest.json"
    try:
        return b"".join([piece async for piece in store.get(key, length=MAX_MANIFEST_BYTES)])
    except ObjectNotFound:
        raise Problem("manifest_not_ready") from None


def file_name(display_name: str, take: Take, segment: Segment, number: int, off_record: str = "") -> str:
    """Such as `zoe-camera-server.webm`; a second camera is `camera2`, a second segment ends in `-2`. One without what
    is off the record says `redacted`."""
    ascii_name = unicodedata.normalize("NFKD", display_name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:MAX_SLUG].strip("-") or "participant"
    kind = take.kind.replace("_", "-") + (str(take.slot + 1) if take.slot else "")
    suffix = segment.object_key.rpartition(".")[2] if "." in segment.object_key else ""
    suffix = suffix or SUFFIXES.get(segment.content_type.partition(";")[0], "bin")
    which = [segment.copy] + ([str(number)] if number > 1 else []) + (["redacted"] if off_record == "redacted" else [])
    return "-".join((slug, kind, *which)) + f".{suffix}"


def _running(segment: LiveSegment) -> Segment:
    """A row as the recorder will write it when the file is finished."""
    return Segment(
        id=segment.segment_id,
        take_id=segment.take_id,
        copy="server",
        state="capturing",
        codec=segment.codec,
        content_type=segment.content_type,
        object_key="",
        size_bytes=0,
        sha256="",
        start_ns=segment.opened_ns,
        start_bound_ns=0,
        duration_ns=0,
        problem="",
    )


def _playable(
    view: rest.SegmentView, segment: LiveSegment | None, live: LiveDesk, recording_id: str, url_life_s: int
) -> rest.SegmentView:
    """With what can be had of a file that is not in the store yet."""
    if segment is None or segment.snapshot is None or view.state == "failed":
        return view
    stem, _, suffix = view.file_name.rpartition(".")
    view.size_bytes = segment.snapshot.size_bytes
    view.duration_ns = segment.snapshot.duration_ms * NS_PER_MS
    view.play_url = live.url(recording_id, segment, expires_s=url_life_s)
    view.download_url = live.url(recording_id, segment, expires_s=url_life_s, filename=f"{stem}-so-far.{suffix}")
    return view


def _segment(
    store: ObjectStore, segment: Segment, offer: off_record.Offer, name: str, url_life_s: int
) -> rest.SegmentView:
    key = offer.object_key
    return rest.SegmentView(
        segment_id=segment.id,
        copy=cast(Literal["server", "local"], segment.copy),
        state=cast(Literal["capturing", "finishing", "stored", "failed"], segment.state),
        codec=segment.codec,
        content_type=segment.content_type,
        file_name=name,
        size_bytes=offer.size_bytes,
        sha256=offer.sha256,
        start_ns=segment.start_ns,
        start_bound_ns=segment.start_bound_ns,
        duration_ns=segment.duration_ns,
        problem=offer.problem,
        play_url=store.presign_get(key, expires_s=url_life_s) if key else None,
        download_url=store.presign_get(key, expires_s=url_life_s, filename=name) if key else None,
        off_record=offer.off_record,
    )
