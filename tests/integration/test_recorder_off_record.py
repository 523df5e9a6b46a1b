"""The recorder process redacts: from marks in the journals to files, rows and manifest; killed, put back, come late."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from recorder.events import (
    CaptureFinished,
    CaptureOpened,
    ChunkVerified,
    OffRecordMarked,
    OffRecordUnmarked,
    ParticipantSeen,
    Purged,
    RecordingEvent,
    RecordingStarted,
    RecordingStopped,
    SpeakersChanged,
    TakeOpened,
)
from recorder.journal import JournalPacket, encode_end, encode_event, encode_head, events_name
from recorder.manifest import Manifest, Segment, file_key, manifest_key
from recorder.manifest import decode as decode_manifest
from recorder.off_record import redacted_name
from recorder.report import decode as decode_report
from recorder.report import report_key
from storage.ids import new_id
from storage.models import Segment as SegmentRow
from storage.models import Take
from storage.objects import ObjectNotFound
from storage.settings import ObjectStoreSettings, S3Settings
from tests.support.encoded import opus_of, opus_packets
from tests.support.files import inspect
from tests.support.journals import (
    EPOCH,
    RECORDING,
    SESSION,
    ZERO_NS,
    S,
    audio_packets,
    file_header,
    make_file,
    track_header,
    video_packets,
    write_journal,
)
from tests.support.payloads import PAYLOADS, encode
from tests.support.recorder import PARTICIPANT, Data, RecorderProcess, open_data, recorder
from tests.support.schema import check_manifest

CAMERA, MICROPHONE = "tak_cccccccccccccccc", "tak_mmmmmmmmmmmmmmmm"
PICTURE, SOUND, LOCAL = (f"seg_{letter * 16}" for letter in "cml")
OPENING: list[RecordingEvent] = [
    RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=S // 2),
    ParticipantSeen(participant_id=PARTICIPANT, display_name="Ada", role="host"),
    TakeOpened(take_id=CAMERA, participant_id=PARTICIPANT, kind="camera", slot=0),
    TakeOpened(take_id=MICROPHONE, participant_id=PARTICIPANT, kind="microphone", slot=0),
]
STOPPED = RecordingStopped(stopped_ns=8 * S)
MARKED = OffRecordMarked(off_record_id="off_a", start_ns=3 * S, stop_ns=4 * S, marked_by=PARTICIPANT, marked_ns=5 * S)
PICTURE_HEADER = track_header("vp8", take_id=CAMERA, segment_id=PICTURE)
SOUND_HEADER = track_header("opus", take_id=MICROPHONE, segment_id=SOUND)


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Data]:
    async with open_data(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def camera() -> list[JournalPacket]:
    return video_packets(encode("vp8", 180), PAYLOADS["vp8"])


@pytest.fixture(scope="module")
def voice() -> list[JournalPacket]:
    return audio_packets(opus_packets(300))


def write_events(data: Data, *events: RecordingEvent, run: int = 1) -> None:
    """Of this run of the node."""
    parts = [encode_head(file_header()), *map(encode_event, events), encode_end(ZERO_NS, 0)]
    data.spool.mkdir(parents=True, exist_ok=True)
    (data.spool / events_name(f"{run:016x}" if run > 1 else EPOCH)).write_bytes(b"".join(parts))


def later(*events: RecordingEvent) -> tuple[RecordingEvent, ...]:
    """As the node writes it into a journal that it opens for a stopped recording."""
    return OPENING[0], STOPPED, *events


async def manifest_of(data: Data) -> Manifest:
    written = await data.read(manifest_key(SESSION, RECORDING))
    check_manifest(json.loads(written))
    return decode_manifest(written)


async def segments(data: Data) -> dict[str, Segment]:
    manifest = await manifest_of(data)
    return {segment.segment_id: segment for take in manifest.takes for segment in take.segments}


async def manifest_when(process: RecorderProcess, data: Data, condition: Callable[[dict[str, Segment]], bool]) -> None:
    """Wait until the manifest that the process writes says so."""
    await process.event("recording_finished")
    while not condition(await segments(data)):
        process.log.clear()
        await process.event("recording_finished")


async def redacted(process: RecorderProcess, data: Data, *ids: str) -> dict[str, Segment]:
    """Wait until the manifest says that these segments are."""
    await manifest_when(process, data, lambda shown: all(id in shown and shown[id].redacted for id in ids))
    return await segments(data)


async def objects(data: Data) -> set[str]:
    """Names of all that is in the store of the recording's files."""
    prefix = f"sessions/{SESSION}/recordings/{RECORDING}/"
    return {info.key.removeprefix(prefix) async for info in data.store.list(prefix)}


def key_of(segment_id: str, *ids: str, copy: str = "server") -> str:
    return file_key(SESSION, RECORDING, copy, redacted_name(segment_id, ids, "webm"))


async def read(data: Data, key: str, path: Path) -> Path:
    path.write_bytes(await data.read(key))
    return path


async def test_files_without_the_range_take_the_place_of_the_whole_ones(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket], tmp_path: Path
) -> None:
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, PICTURE_HEADER, camera)
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        shown = await redacted(process, data, PICTURE, SOUND)
    [off_record] = (await manifest_of(data)).off_record
    assert (off_record.off_record_id, off_record.marked_by) == ("off_a", PARTICIPANT)
    rows = await data.catalog.redactions(RECORDING)
    whole = {row.id: row for row in await data.catalog.segments(RECORDING)}
    for id, segment in shown.items():
        assert (segment.object_key, segment.file_name, segment.sha256, segment.size_bytes) == ("", "", "", 0)
        found = segment.redacted
        assert found is not None
        assert found.off_record == ["off_a"]
        content = await data.read(found.object_key)
        assert (found.size_bytes, found.sha256) == (len(content), sha256(content).hexdigest())
        assert (rows[id].object_key, rows[id].sha256, rows[id].off_record) == (
            found.object_key,
            found.sha256,
            "off_a",
        )
        assert whole[id].sha256 != found.sha256
        assert whole[id].sha256 not in (await data.read(manifest_key(SESSION, RECORDING))).decode()
    pictures = inspect(await read(data, key_of(PICTURE, "off_a"), tmp_path / "picture.webm"))
    assert pictures.sound
    assert not [at_s for at_s in pictures.stream("video").pts_s if 1.9 < at_s < 3.1], "its first one is at 1 s"
    sound = inspect(await read(data, key_of(SOUND, "off_a"), tmp_path / "sound.webm"))
    assert sound.sound
    assert sound.stream("audio").packets == 300
    assert not [path.name for path in data.work.iterdir() if path.suffix in (".webm", ".whole")]


async def test_a_file_beside_the_range_stays_what_it_is(data: Data, voice: list[JournalPacket]) -> None:
    far = OffRecordMarked(off_record_id="off_a", start_ns=30 * S, stop_ns=31 * S, marked_by="", marked_ns=32 * S)
    write_events(data, *OPENING, far, RecordingStopped(stopped_ns=40 * S))
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
    segment = (await segments(data))[SOUND]
    assert segment.redacted is None
    assert segment.object_key == file_key(SESSION, RECORDING, "server", f"{SOUND}.webm")
    assert await data.catalog.redactions(RECORDING) == {}


async def test_marks_that_come_later_make_other_files_and_the_ones_before_are_deleted(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    second = OffRecordMarked(off_record_id="off_b", start_ns=5 * S, stop_ns=6 * S, marked_by="", marked_ns=9 * S)
    own = f"server/{SOUND}.webm"

    def names(*ids: str) -> set[str]:
        more = {f"server/{redacted_name(SOUND, ids, 'webm')}"} if ids else set()
        return {"manifest.json", "report.json", own, *more}

    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        assert await objects(data) == names()
        write_events(data, *later(MARKED), run=2)
        await process.event("segment_redacted", segment_id=SOUND, off_record=["off_a"])
        write_events(data, *later(second), run=3)
        await process.event("segment_redacted", segment_id=SOUND, off_record=["off_a", "off_b"])
        assert await objects(data) == names("off_a", "off_b")
        write_events(data, *later(OffRecordUnmarked(off_record_id="off_a", at_ns=9 * S)), run=4)
        await process.event("segment_redacted", segment_id=SOUND, off_record=["off_b"])
        assert await objects(data) == names("off_b")
        write_events(data, *later(OffRecordUnmarked(off_record_id="off_b", at_ns=9 * S)), run=5)
        await process.event("segment_put_back", segment_id=SOUND)
        await manifest_when(process, data, lambda shown: shown[SOUND].object_key != "")
    assert await objects(data) == names()
    assert await data.catalog.redactions(RECORDING) == {}
    assert not list(data.work.glob("*redacted*"))
    assert (await manifest_of(data)).off_record == []


async def test_killed_in_the_middle_it_makes_the_same_file(
    data: Data, voice: list[JournalPacket], tmp_path: Path
) -> None:
    """Something is in the way of the object, so that it cannot be put, until the recorder is killed."""
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    obstacle = data.folder / "objects" / key_of(SOUND, "off_a")
    (obstacle / "x").mkdir(parents=True)
    async with recorder(data.folder) as process:
        await process.event("redacted_upload_failed")
        assert await data.catalog.redactions(RECORDING) == {}, "nothing is said to be there before it is"
        await process.kill()
    left = {path.name for path in data.work.iterdir()}
    assert redacted_name(SOUND, ["off_a"], "webm") in left
    (obstacle / "x").rmdir()
    obstacle.rmdir()
    async with recorder(data.folder) as process:
        found = (await redacted(process, data, SOUND))[SOUND].redacted
    assert found is not None
    assert not [path.name for path in data.work.iterdir() if path.suffix in (".webm", ".whole")]
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    async with open_data(undisturbed) as other:
        write_events(other, *OPENING, MARKED, STOPPED)
        write_journal(other.spool, SOUND_HEADER, voice)
        async with recorder(other.folder) as process:
            assert (await redacted(process, other, SOUND))[SOUND].redacted == found


async def test_a_killed_recorder_goes_on_with_marks_that_were_put_back_meanwhile(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        await redacted(process, data, SOUND)
        await process.kill()
    write_events(data, *later(OffRecordUnmarked(off_record_id="off_a", at_ns=9 * S)), run=2)
    (data.work / f"{SOUND}.redacted.json").write_bytes(b"torn")
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
    assert (await segments(data))[SOUND].redacted is None


async def test_a_local_copy_loses_the_range_too_however_late_it_comes(
    data: Data, voice: list[JournalPacket], tmp_path: Path
) -> None:
    """Sound alone, as the browser of somebody without a camera captures it."""
    _, captured = make_file("opus", voice, tmp_path / "captured")
    content = captured.read_bytes()
    await data.catalog.add_take(
        Take(id=MICROPHONE, recording_id=RECORDING, participant_id=PARTICIPANT, kind="microphone", slot=0)
    )
    await data.catalog.upsert_segment(SegmentRow(id=LOCAL, take_id=MICROPHONE, copy="local", state="capturing"))
    opened = CaptureOpened(
        segment_id=LOCAL, take_id=MICROPHONE, content_type="audio/webm", start_ns=S, bound_ns=S // 100
    )
    write_events(data, *OPENING, opened, MARKED, STOPPED)
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        chunks = [chunk async for chunk in put_chunks(data, content, 3)]
        write_events(data, *later(*chunks, CaptureFinished(segment_id=LOCAL, chunks=3)), run=2)
        found = (await redacted(process, data, LOCAL))[LOCAL].redacted
    assert found is not None
    assert found.object_key == key_of(LOCAL, "off_a", copy="local")
    without = await data.read(found.object_key)
    spoken = [packet.payload for packet in voice]
    assert all(packet in content for packet in spoken)
    # its first sample is at 1 s, so the range is 2 s to 3 s of it
    assert all(packet not in without for packet in spoken[100:150])
    assert all(packet in without for packet in [*spoken[:97], *spoken[153:]])


async def put_chunks(data: Data, content: bytes, count: int) -> AsyncIterator[ChunkVerified]:
    for index, piece in enumerate(pieces(content, count)):
        key = f"sessions/{SESSION}/recordings/{RECORDING}/local/{LOCAL}/chunks/{index:06d}"
        await data.store.put(key, piece, content_type="application/octet-stream")
        yield ChunkVerified(
            segment_id=LOCAL,
            index=index,
            size_bytes=len(piece),
            sha256=sha256(piece).hexdigest(),
            object_key=key,
            end_ms=0,
        )


def pieces(content: bytes, count: int) -> Iterable[bytes]:
    return (content[len(content) * n // count : len(content) * (n + 1) // count] for n in range(count))


async def test_what_cannot_be_redacted_is_given_out_in_no_form_and_says_why(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        await data.store.delete(file_key(SESSION, RECORDING, "server", f"{SOUND}.webm"))
        write_events(data, *later(MARKED), run=2)
        found = (await redacted(process, data, SOUND))[SOUND].redacted
    assert found is not None
    assert (found.object_key, found.problem) == ("", "the whole file is gone from the object store")
    row = (await data.catalog.redactions(RECORDING))[SOUND]
    assert (row.object_key, row.problem) == ("", found.problem)
    with pytest.raises(ObjectNotFound):
        await data.read(key_of(SOUND, "off_a"))


async def test_of_a_picture_that_is_off_the_record_as_a_whole_nothing_is_left(
    data: Data, camera: list[JournalPacket]
) -> None:
    everything = OffRecordMarked(off_record_id="off_a", start_ns=0, stop_ns=20 * S, marked_by="", marked_ns=20 * S)
    write_events(data, *OPENING, everything, STOPPED)
    write_journal(data.spool, PICTURE_HEADER, camera[:300])
    async with recorder(data.folder) as process:
        found = (await redacted(process, data, PICTURE))[PICTURE].redacted
    assert found is not None
    assert (found.object_key, found.problem, found.off_record) == ("", "", ["off_a"])
    assert await objects(data) == {"manifest.json", "report.json", f"server/{PICTURE}.webm"}


# --- purge

PURGED = Purged(off_record_ids=["off_a"], purged_by=PARTICIPANT, at_ns=20 * S)


def holding(folder: Path, *contents: bytes) -> list[str]:
    """Files anywhere in the folder that hold one of these."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in files if any(content in path.read_bytes() for content in contents))


def said(voice: list[JournalPacket]) -> list[bytes]:
    """In the range: the first packet is of 1 s."""
    return [packet.payload for packet in voice[100:150]]


async def purged(process: RecorderProcess, data: Data, *ids: str) -> dict[str, Segment]:
    """Wait until the manifest says that these are."""

    def gone(segment: Segment | None) -> bool:
        return segment is not None and segment.redacted is not None and segment.redacted.whole_gone

    await manifest_when(process, data, lambda shown: all(gone(shown.get(id)) for id in ids))
    return await segments(data)


async def test_purged_nothing_that_was_said_is_anywhere_in_the_data_folder(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket]
) -> None:
    spoke = [SpeakersChanged(at_ns=at_s * S, dominant=PARTICIPANT, speaking=[PARTICIPANT]) for at_s in (2, 3, 5)]
    write_events(data, *OPENING, *spoke, MARKED, STOPPED)
    write_journal(data.spool, PICTURE_HEADER, camera)
    write_journal(data.spool, SOUND_HEADER, voice)
    shown_then = [packet.payload for packet in camera if 2 * S < packet.arrival_ns - ZERO_NS - S < 3 * S]
    async with recorder(data.folder) as process:
        before = await redacted(process, data, PICTURE, SOUND)
        assert len(holding(data.folder, *said(voice))) == 2, "the journal and the whole file"
        upload = await data.store.begin_upload(
            file_key(SESSION, RECORDING, "server", f"{SOUND}.webm"), part_bytes=8 << 20, content_type="audio/webm"
        )
        await data.store.put_part(
            file_key(SESSION, RECORDING, "server", f"{SOUND}.webm"), upload, 1, b"".join(said(voice))
        )
        (data.work / f"{SOUND}.webm.before").write_bytes(said(voice)[0])
        (data.work / f"{SOUND}.webm.upload.json").write_bytes(b"{}")
        process.log.clear()
        write_events(data, *later(PURGED), run=2)
        after = await purged(process, data, PICTURE, SOUND)
    assert holding(data.folder, *said(voice), *shown_then) == []
    assert {name for name in await objects(data) if name.startswith("server/")} == {
        f"server/{redacted_name(id, ['off_a'], 'webm')}" for id in (PICTURE, SOUND)
    }
    assert not [upload async for upload in data.store.uploads("sessions/")]
    assert [path.name for path in data.spool.iterdir() if path.name.startswith("seg_")] == []
    for id, segment in after.items():
        was = before[id].redacted
        assert was is not None
        assert segment.redacted == replace(was, whole_gone=True)
        content = await data.read(was.object_key)
        assert sha256(content).hexdigest() == was.sha256
    [off_record] = (await manifest_of(data)).off_record
    assert (off_record.purged_by, off_record.purged_ns) == (PARTICIPANT, 20 * S)
    assert [each.at_ns for each in (await manifest_of(data)).speakers] == [2 * S, 5 * S]
    assert all(row.whole_gone for row in (await data.catalog.redactions(RECORDING)).values())


async def test_the_report_loses_what_tells_of_the_range(data: Data) -> None:
    """A square wave clips all over."""
    wave = np.where(np.arange(48_000 * 6) // 24 % 2, 32_767, -32_767).astype(np.int16)
    loud = audio_packets(opus_of(np.stack([wave, wave], axis=1)))
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, loud)

    async def clipped() -> list[int]:
        report = decode_report(await data.read(report_key(SESSION, RECORDING)))
        [figures] = [segment.figures for take in report.takes for segment in take.segments]
        assert figures is not None
        assert figures.audio is not None
        return [interval.file_ms for interval in figures.audio.clipped.listed]

    async with recorder(data.folder) as process:
        await redacted(process, data, SOUND)
        assert await clipped()
        process.log.clear()
        write_events(data, *later(PURGED), run=2)
        await purged(process, data, SOUND)
    assert await clipped() == []


async def test_a_purge_that_was_killed_is_finished_by_the_next_process(data: Data, voice: list[JournalPacket]) -> None:
    """A folder that is no file is in the way of the last step until the recorder is killed."""
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        await redacted(process, data, SOUND)
        obstacle = data.work / f"{SOUND}.aaa"
        obstacle.mkdir()
        (data.work / f"{SOUND}.webm.before").write_bytes(said(voice)[0])
        write_events(data, *later(PURGED), run=2)
        await process.event("recording_task_failed", task=f"{SOUND} purge")
        await process.kill()
    assert not (await data.catalog.redactions(RECORDING))[SOUND].whole_gone
    obstacle.rmdir()
    async with recorder(data.folder) as process:
        await purged(process, data, SOUND)
    assert holding(data.folder, *said(voice)) == []


async def test_killed_at_any_moment_of_a_purge_the_file_without_the_range_stays(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        found = (await redacted(process, data, SOUND))[SOUND].redacted
    assert found is not None
    whole = data.folder / "objects" / file_key(SESSION, RECORDING, "server", f"{SOUND}.webm")
    write_events(data, *later(PURGED), run=2)
    for _ in range(3):
        async with recorder(data.folder) as process:
            await process.event("spool_followed")
            async with asyncio.timeout(30):
                while whole.exists():
                    await asyncio.sleep(0)
            await process.kill()
        assert sha256(await data.read(found.object_key)).hexdigest() == found.sha256
    async with recorder(data.folder) as process:
        await purged(process, data, SOUND)
    assert holding(data.folder, *said(voice)) == []


async def test_nothing_is_purged_while_the_file_without_the_range_is_not_in_the_store(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    async with recorder(data.folder) as process:
        found = (await redacted(process, data, SOUND))[SOUND].redacted
        assert found is not None
        await data.store.delete(found.object_key)
        write_events(data, *later(PURGED), run=2)
        await process.event("recording_task_failed", task=f"{SOUND} purge")
    assert len(holding(data.folder, *said(voice))) == 2


async def test_after_a_purge_more_can_be_taken_from_the_file_that_is_left(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, MARKED, STOPPED)
    write_journal(data.spool, SOUND_HEADER, voice)
    second = OffRecordMarked(off_record_id="off_b", start_ns=5 * S, stop_ns=6 * S, marked_by="", marked_ns=9 * S)
    also = [packet.payload for packet in voice[200:250]]
    async with recorder(data.folder) as process:
        await redacted(process, data, SOUND)
        process.log.clear()
        write_events(data, *later(PURGED), run=2)
        await purged(process, data, SOUND)
        assert holding(data.folder, *also) == [redacted_name(SOUND, ["off_a"], "webm")]
        write_events(data, *later(second), run=3)
        await process.event("segment_redacted", off_record=["off_a", "off_b"])
        await manifest_when(
            process, data, lambda shown: (one := shown[SOUND].redacted) is not None and len(one.off_record) == 2
        )
        found = (await segments(data))[SOUND].redacted
        assert found is not None
        assert (found.whole_gone, len(found.left_out)) == (True, 2)
        assert holding(data.folder, *said(voice), *also) == []
        write_events(data, *later(OffRecordUnmarked(off_record_id="off_b", at_ns=9 * S)), run=4)
        await manifest_when(process, data, lambda shown: shown[SOUND].redacted == found)
    assert await data.read(found.object_key)


async def test_a_local_copy_that_comes_after_the_purge_is_purged_too_and_one_that_stays_away_loses_its_chunks(
    data: Data, voice: list[JournalPacket], tmp_path: Path
) -> None:
    _, captured = make_file("opus", voice, tmp_path / "captured")
    await data.catalog.add_take(
        Take(id=MICROPHONE, recording_id=RECORDING, participant_id=PARTICIPANT, kind="microphone", slot=0)
    )
    away = "seg_" + "w" * 16
    for id in (LOCAL, away):
        await data.catalog.upsert_segment(SegmentRow(id=id, take_id=MICROPHONE, copy="local", state="capturing"))
    opened = [
        CaptureOpened(segment_id=id, take_id=MICROPHONE, content_type="audio/webm", start_ns=S, bound_ns=S // 100)
        for id in (LOCAL, away)
    ]
    left = f"sessions/{SESSION}/recordings/{RECORDING}/local/{away}/chunks/000000"
    await data.store.put(left, said(voice)[0], content_type="application/octet-stream")
    write_events(data, *OPENING, opened[1], MARKED, STOPPED)
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        write_events(data, *later(PURGED), run=2)
        await process.event("segment_purged", segment_id=away)
        assert holding(data.folder, *said(voice)) == [captured.name]
        chunks = [chunk async for chunk in put_chunks(data, captured.read_bytes(), 3)]
        write_events(data, *later(opened[0], *chunks, CaptureFinished(segment_id=LOCAL, chunks=3)), run=3)
        process.log.clear()
        await purged(process, data, LOCAL)
    captured.unlink()
    assert holding(data.folder, *said(voice)) == []
    assert {name for name in await objects(data) if name.startswith("local/")} == {
        f"local/{redacted_name(LOCAL, ['off_a'], 'webm')}"
    }


async def test_what_no_file_could_be_made_from_goes_whole(data: Data) -> None:
    write_events(data, *OPENING, MARKED, STOPPED)
    words = b"words that no decoder knows" * 10
    write_journal(data.spool, PICTURE_HEADER, [JournalPacket(ZERO_NS + S, 1, 1, True, b"\x00" + words)])
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        assert holding(data.folder, words) == [f"{PICTURE}-{EPOCH}.journal"]
        write_events(data, *later(PURGED), run=2)
        await process.event("segment_purged", segment_id=PICTURE)
    assert holding(data.folder, words) == []


async def test_in_a_bucket_nothing_but_the_file_without_the_range_is_left_either(
    s3: S3Settings, voice: list[JournalPacket], tmp_path: Path
) -> None:
    objects_in_s3 = ObjectStoreSettings(kind="s3", s3=replace(s3, prefix=new_id("t")))
    async with open_data(tmp_path, objects_in_s3) as data:
        write_events(data, *OPENING, MARKED, STOPPED)
        write_journal(data.spool, SOUND_HEADER, voice)
        whole = file_key(SESSION, RECORDING, "server", f"{SOUND}.webm")
        async with recorder(data.folder, objects=objects_in_s3) as process:
            await redacted(process, data, SOUND)
            assert said(voice)[0] in await data.read(whole)
            upload = await data.store.begin_upload(whole, part_bytes=8 << 20, content_type="audio/webm")
            await data.store.put_part(whole, upload, 1, b"".join(said(voice)))
            write_events(data, *later(PURGED), run=2)
            await purged(process, data, SOUND)
        assert holding(data.folder, *said(voice)) == []
        name = f"server/{redacted_name(SOUND, ['off_a'], 'webm')}"
        assert await objects(data) == {"manifest.json", "report.json", name}
        assert not [upload async for upload in data.store.uploads("sessions/")]
        without = await data.read(key_of(SOUND, "off_a"))
        assert not any(packet in without for packet in said(voice))
