"""The recorder process over a real spool, catalog and store: what it makes, and what killing it does not change."""

import asyncio
import io
import json
import signal
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import av
import pytest
from msgspec.structs import replace

from recorder.events import (
    CaptureFinished,
    CaptureOpened,
    ChunkVerified,
    ParticipantSeen,
    RecordingEvent,
    RecordingStarted,
    RecordingStopped,
    TakeOpened,
)
from recorder.journal import JournalPacket, encode_end, encode_event, encode_head, events_name
from recorder.manifest import Manifest, Segment, manifest_key
from recorder.manifest import decode as decode_manifest
from recorder.report import Report, report_key
from recorder.report import decode as decode_report
from recorder.settings import RecorderSettings
from storage.models import Segment as SegmentRow
from storage.models import Take
from storage.objects import ObjectNotFound
from tests.support import counter
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.files import inspect
from tests.support.journals import (
    EPOCH,
    RECORDING,
    SESSION,
    ZERO_NS,
    LockedFile,
    S,
    audio_packets,
    file_header,
    journal_bytes,
    make_file,
    repaired,
    told,
    track_header,
    video_packets,
    write_journal,
)
from tests.support.payloads import PAYLOADS
from tests.support.recorder import PARTICIPANT, Data, open_data, recorder
from tests.support.schema import check_manifest

CAMERA, MICROPHONE = "tak_cccccccccccccccc", "tak_mmmmmmmmmmmmmmmm"
CAMERA_SEGMENT, MICROPHONE_SEGMENT, LOCAL_SEGMENT = (f"seg_{letter * 16}" for letter in "cml")
OPENING: list[RecordingEvent] = [
    RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=S // 2),
    ParticipantSeen(participant_id=PARTICIPANT, display_name="Ada", role="host"),
    TakeOpened(take_id=CAMERA, participant_id=PARTICIPANT, kind="camera", slot=0),
    TakeOpened(take_id=MICROPHONE, participant_id=PARTICIPANT, kind="microphone", slot=0),
]
STOPPED = RecordingStopped(stopped_ns=5 * S)


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Data]:
    async with open_data(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def camera() -> list[JournalPacket]:
    return repaired(video_packets(vp8_frames(120), PAYLOADS["vp8"]), 0.05, 1)


@pytest.fixture(scope="module")
def voice() -> list[JournalPacket]:
    return repaired(audio_packets(opus_packets(200)), 0.05, 1)


CAMERA_HEADER = track_header("vp8", take_id=CAMERA, segment_id=CAMERA_SEGMENT)
MICROPHONE_HEADER = track_header("opus", take_id=MICROPHONE, segment_id=MICROPHONE_SEGMENT)


def events_bytes(*events: RecordingEvent, end: bool = True) -> bytes:
    parts = [encode_head(file_header()), *map(encode_event, events)]
    return b"".join(parts) + (encode_end(ZERO_NS, 0) if end else b"")


def write_events(data: Data, *events: RecordingEvent, end: bool = True, epoch: str = EPOCH) -> None:
    data.spool.mkdir(parents=True, exist_ok=True)
    (data.spool / events_name(epoch)).write_bytes(events_bytes(*events, end=end))


async def finished_manifest(data: Data, settings: RecorderSettings | None = None) -> Manifest:
    async with recorder(data.folder, settings) as process:
        await process.event("recording_finished")
    return await stored_manifest(data)


async def stored_manifest(data: Data) -> Manifest:
    written = await data.read(manifest_key(SESSION, RECORDING))
    check_manifest(json.loads(written))
    return decode_manifest(written)


def segments(manifest: Manifest) -> dict[str, Segment]:
    return {segment.segment_id: segment for take in manifest.takes for segment in take.segments}


async def test_a_recording_becomes_files_rows_and_a_manifest(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket], tmp_path: Path
) -> None:
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, CAMERA_HEADER, camera)
    write_journal(data.spool, MICROPHONE_HEADER, voice)
    manifest = await finished_manifest(data)
    assert (manifest.title, manifest.started_ns, manifest.stopped_ns) == ("A talk", S // 2, 5 * S)
    assert [seen.display_name for seen in manifest.participants] == ["Ada"]
    assert [(take.kind, take.slot, len(take.segments)) for take in manifest.takes] == [
        ("camera", 0, 1),
        ("microphone", 0, 1),
    ]
    rows = {row.id: row for row in await data.catalog.segments(RECORDING)}
    for segment_id, segment in segments(manifest).items():
        content = await data.read(segment.object_key)
        row = rows[segment_id]
        assert segment.state == row.state == "stored"
        assert segment.size_bytes == row.size_bytes == len(content)
        assert segment.sha256 == row.sha256 == sha256(content).hexdigest()
        assert segment.object_key == f"sessions/{SESSION}/recordings/{RECORDING}/server/{segment.file_name}"
        assert (row.start_ns, row.duration_ns, row.codec) == (segment.start_ns, segment.duration_ns, segment.codec)
        assert not segment.torn
    video = tmp_path / "copy.webm"
    video.write_bytes(await data.read(segments(manifest)[CAMERA_SEGMENT].object_key))
    assert [reading.number for reading in counter.read_file(video)] == list(range(120))
    recording = await data.catalog.recording(RECORDING)
    assert recording is not None
    assert (recording.state, recording.stopped_ns) == ("finished", 5 * S)
    assert not list(data.work.glob("*.webm"))


async def test_sound_and_picture_of_a_connection_are_placed_by_one_clock_and_rows_say_the_same(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket]
) -> None:
    """Both were captured from the first second on; the way took 12 ms, the camera's encoder 40 ms."""
    write_events(data, *OPENING, STOPPED)
    for header, packets, pipeline_ms in ((CAMERA_HEADER, camera, 40), (MICROPHONE_HEADER, voice, 0)):
        connected = replace(header, stream=replace(header.stream, connection="c"))
        records = told(packets, header.stream.clock_rate_hz, delay_ms=12, round_trip_ms=24, pipeline_ms=pipeline_ms)
        write_journal(data.spool, connected, records)
    found = segments(await finished_manifest(data))
    rows = {row.id: row for row in await data.catalog.segments(RECORDING)}
    for segment_id, delay_ns in ((CAMERA_SEGMENT, 0), (MICROPHONE_SEGMENT, 6_500_000)):
        segment, row = found[segment_id], rows[segment_id]
        assert segment.map_basis == "shared"
        assert segment.start_ns == pytest.approx(S - delay_ns, abs=S // 10_000)
        assert 12_000_000 < segment.start_bound_ns < 20_000_000
        assert [point.file_ns for point in segment.map] == [0, segment.duration_ns]
        assert (row.start_ns, row.start_bound_ns) == (segment.start_ns, segment.start_bound_ns)
    report = await stored_report(data)
    assert [take.reasons for take in report.takes if "begins" in " ".join(take.reasons)] == []
    written = await data.read(manifest_key(SESSION, RECORDING))
    (data.work / "manifest.json").unlink(missing_ok=True)
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
    assert await data.read(manifest_key(SESSION, RECORDING)) == written


async def test_killed_in_the_middle_and_restarted_it_makes_the_same_file(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket], tmp_path: Path
) -> None:
    """The journals grow in steps; at each step the process is killed while it works on what there is."""
    journals = {
        events_name(EPOCH): events_bytes(*OPENING, STOPPED),
        f"{CAMERA_SEGMENT}-{EPOCH}.journal": journal_bytes(CAMERA_HEADER, camera),
        f"{MICROPHONE_SEGMENT}-{EPOCH}.journal": journal_bytes(MICROPHONE_HEADER, voice),
    }
    data.spool.mkdir(parents=True)
    files = {name: LockedFile(data.spool / name) for name in journals}
    ends = (0.0, 0.3, 0.6, 0.9, 1.0)
    for part, (begin, end) in enumerate(pairwise(ends)):
        for name, content in journals.items():
            files[name].write(content[int(len(content) * begin) : int(len(content) * end)])
        # for the first 3 s packets wait for repairs and for the timeline: only the journal is open then
        journal, file = data.spool / f"{CAMERA_SEGMENT}-{EPOCH}.journal", data.work / f"{CAMERA_SEGMENT}.webm"
        awaited = file if part > 1 else journal
        before = _state_of(awaited)
        async with recorder(data.folder) as process:
            await _appeared(awaited, process.child.pid, before)
            await process.kill()
    for file in files.values():
        file.close()
    manifest = await finished_manifest(data)
    for header, packets in ((CAMERA_HEADER, camera), (MICROPHONE_HEADER, voice)):
        segment = segments(manifest)[header.segment_id]
        _, expected = make_file(header.stream.codec, packets, tmp_path / "expected")
        assert await data.read(segment.object_key) == expected.read_bytes()
        assert segment.gaps == []


async def _appeared(path: Path, pid: int, before: tuple[int, int] | None = None) -> None:
    """The process `pid` has this file open, or did already what made it another than `before` (None: nothing)."""
    async with asyncio.timeout(30):
        while _state_of(path) == before and not any(
            _leads_to(link, path) for link in Path(f"/proc/{pid}/fd").iterdir()
        ):
            await asyncio.sleep(0.01)


def _state_of(path: Path) -> tuple[int, int] | None:
    """Inode and last change; None: there is no such file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return link.readlink() == path
    except FileNotFoundError:
        return False


async def stored_report(data: Data) -> Report:
    return decode_report(await data.read(report_key(SESSION, RECORDING)))


async def test_a_recording_has_a_report_beside_its_manifest(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket]
) -> None:
    """The sound lacks a tenth of a second, the picture nothing."""
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, CAMERA_HEADER, camera)
    lost = {voice[0].sequence + number for number in range(50, 55)}
    write_journal(data.spool, MICROPHONE_HEADER, (packet for packet in voice if packet.sequence not in lost))
    manifest = await finished_manifest(data)
    report = await stored_report(data)
    assert (report.session_id, report.recording_id) == (SESSION, RECORDING)
    takes = {take.kind: take for take in report.takes}
    assert (takes["microphone"].grade, takes["microphone"].reasons[0]) == (
        "D",
        "2.5 % of the sound is concealed, because it never came (100 ms).",
    )
    assert [reason.split(" to ")[0] for reason in takes["camera"].reasons] == ["When it begins is known"]
    assert (report.grade, report.reasons) == ("D", ["1 of 2 takes has grade D."])
    for take in report.takes:
        [segment] = take.segments
        assert segment.packets == segments(manifest)[segment.segment_id].packets
        assert segment.figures is not None
        assert segment.figures.problem == ""
    video = takes["camera"].segments[0].figures
    assert video is not None
    assert video.video is not None
    assert (video.video.frames, video.video.undecodable, video.video.black) == (120, 0, 0)


async def test_killed_and_made_again_the_report_is_the_same(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket]
) -> None:
    """From memos when the report is gone, from the journals when those are gone too."""
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, CAMERA_HEADER, camera)
    write_journal(data.spool, MICROPHONE_HEADER, voice)
    key = report_key(SESSION, RECORDING)
    async with recorder(data.folder) as process:
        await process.event("segment_stored")
        await process.kill()
    await finished_manifest(data)
    first = await data.read(key)
    assert all(take.segments[0].figures is not None for take in decode_report(first).takes)
    for memo in ("report.json", f"{MICROPHONE_SEGMENT}.json", f"{CAMERA_SEGMENT}.json"):
        await data.store.delete(key)
        (data.work / "report.json").unlink()
        (data.work / memo).unlink(missing_ok=True)
        await finished_manifest(data)
        assert await data.read(key) == first


async def test_torn_journals_are_finished_and_say_so(
    data: Data, camera: list[JournalPacket], voice: list[JournalPacket]
) -> None:
    """The node died: nobody holds the journals, none has an end, the last record is cut."""
    write_events(data, *OPENING, end=False)
    data.spool.joinpath(f"{CAMERA_SEGMENT}-{EPOCH}.journal").write_bytes(journal_bytes(CAMERA_HEADER, camera)[:-300])
    write_journal(data.spool, MICROPHONE_HEADER, voice, end=False)
    manifest = await finished_manifest(data)
    found = segments(manifest)
    assert found[CAMERA_SEGMENT].torn
    assert found[MICROPHONE_SEGMENT].torn
    assert found[MICROPHONE_SEGMENT].duration_ns == 4 * S
    assert manifest.stopped_ns == pytest.approx(5 * S, abs=S // 100)
    recording = await data.catalog.recording(RECORDING)
    assert recording is not None
    assert (recording.state, recording.stopped_ns) == ("finished", manifest.stopped_ns)


async def test_a_journal_that_is_held_is_waited_for(data: Data, voice: list[JournalPacket]) -> None:
    write_events(data, *OPENING, STOPPED)
    content = journal_bytes(MICROPHONE_HEADER, voice)
    held = LockedFile(data.spool / f"{MICROPHONE_SEGMENT}-{EPOCH}.journal")
    held.write(content[: len(content) // 2 + 7])
    async with recorder(data.folder) as process:
        await process.event("spool_followed")
        await _appeared(data.work / f"{MICROPHONE_SEGMENT}.webm", process.child.pid)
        assert not await data.catalog.segments(RECORDING)
        held.write(content[len(content) // 2 + 7 :])
        await process.event("recording_finished")
    held.close()
    assert segments(await stored_manifest(data))[MICROPHONE_SEGMENT].duration_ns == 4 * S


def captured(folder: Path) -> bytes:
    """What a MediaRecorder gives: VP8 and Opus in WebM, without duration and cues."""
    out = io.BytesIO()
    with av.open(out, "w", format="webm", options={"live": "1"}) as container:
        video = container.add_stream("libvpx", rate=30)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.options = {"deadline": "realtime", "cpu-used": "8"}
        audio = container.add_stream("libopus", rate=48_000)
        for number in range(60):
            frame = av.VideoFrame(320, 240, "yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
            sound = av.AudioFrame(format="s16", layout="stereo", samples=1_600)
            sound.sample_rate, sound.pts = 48_000, number * 1_600
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return out.getvalue()


async def put_chunks(data: Data, content: bytes, count: int) -> list[ChunkVerified]:
    chunks = []
    for index in range(count):
        piece = content[len(content) * index // count : len(content) * (index + 1) // count]
        key = f"sessions/{SESSION}/recordings/{RECORDING}/local/{LOCAL_SEGMENT}/chunks/{index:06d}"
        await data.store.put(key, piece, content_type="application/octet-stream")
        chunks.append(
            ChunkVerified(
                segment_id=LOCAL_SEGMENT,
                index=index,
                size_bytes=len(piece),
                sha256=sha256(piece).hexdigest(),
                object_key=key,
                end_ms=1_000.0 * (index + 1),
            )
        )
    return chunks


CAPTURE = CaptureOpened(
    segment_id=LOCAL_SEGMENT, take_id=CAMERA, content_type="video/webm;codecs=vp8,opus", start_ns=S, bound_ns=S // 100
)


async def local_row(data: Data) -> None:
    """As the node inserts it."""
    await data.catalog.add_take(
        Take(id=CAMERA, recording_id=RECORDING, participant_id=PARTICIPANT, kind="camera", slot=0)
    )
    await data.catalog.upsert_segment(SegmentRow(id=LOCAL_SEGMENT, take_id=CAMERA, copy="local", state="capturing"))


@pytest.mark.pain("23")
async def test_the_chunks_of_a_local_copy_become_one_seekable_file(data: Data, tmp_path: Path) -> None:
    content = captured(tmp_path)
    chunks = await put_chunks(data, content, 3)
    never_verified = chunks[0].object_key.replace("000000", "000007")
    of_another = chunks[0].object_key.replace(LOCAL_SEGMENT, "seg_zzzzzzzzzzzzzzzz")
    for key in (never_verified, of_another):
        await data.store.put(key, b"1", content_type="application/octet-stream")
    await local_row(data)
    write_events(
        data, *OPENING, CAPTURE, *reversed(chunks), STOPPED, CaptureFinished(segment_id=LOCAL_SEGMENT, chunks=3)
    )
    async with recorder(data.folder) as process:
        await process.event("segment_stored", segment_id=LOCAL_SEGMENT)
        await process.event("recording_finished")
        while (await stored_manifest(data)).takes[0].segments[0].state != "stored":
            process.log.clear()
            await process.event("recording_finished")
    segment = segments(await stored_manifest(data))[LOCAL_SEGMENT]
    assert (segment.copy, segment.codec, segment.content_type) == ("local", "vp8,opus", "video/webm")
    assert (segment.start_ns, segment.start_bound_ns) == (S, S // 100)
    assert segment.duration_ns == pytest.approx(2 * S, abs=S // 20)
    path = tmp_path / "local.webm"
    path.write_bytes(await data.read(segment.object_key))
    report = inspect(path)
    assert report.sound
    assert report.duration_s == pytest.approx(2, abs=0.05)
    assert report.stream("video").frames == 60
    row = await data.catalog.segment(LOCAL_SEGMENT)
    assert row is not None
    assert (row.state, row.sha256, row.codec) == ("stored", sha256(path.read_bytes()).hexdigest(), "vp8,opus")
    for key in (*(chunk.object_key for chunk in chunks), never_verified):
        with pytest.raises(ObjectNotFound):
            await data.store.head(key)
    assert (await data.store.head(of_another)).size_bytes == 1


async def test_chunks_that_come_after_the_recording_was_finished_rewrite_the_manifest(
    data: Data, tmp_path: Path
) -> None:
    chunks = await put_chunks(data, captured(tmp_path), 2)
    await local_row(data)
    write_events(data, *OPENING, CAPTURE, chunks[0], STOPPED)
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        assert segments(await stored_manifest(data))[LOCAL_SEGMENT].state == "capturing"
        later = [*OPENING[:1], STOPPED, chunks[1], CaptureFinished(segment_id=LOCAL_SEGMENT, chunks=2)]
        write_events(data, *later, epoch="0000000000000002")
        await process.event("segment_stored", segment_id=LOCAL_SEGMENT)
        process.log.clear()
        await process.event("recording_finished")
    assert segments(await stored_manifest(data))[LOCAL_SEGMENT].state == "stored"


async def test_a_local_copy_that_is_no_media_keeps_its_chunks_and_says_why(data: Data) -> None:
    chunks = await put_chunks(data, b"no media at all" * 100, 2)
    await local_row(data)
    write_events(data, *OPENING, CAPTURE, *chunks, STOPPED, CaptureFinished(segment_id=LOCAL_SEGMENT, chunks=2))
    async with recorder(data.folder) as process:
        await process.event("local_copy_failed", segment_id=LOCAL_SEGMENT)
    for chunk in chunks:
        assert (await data.store.head(chunk.object_key)).size_bytes == chunk.size_bytes


async def test_what_was_delivered_is_not_made_again(data: Data, voice: list[JournalPacket]) -> None:
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, MICROPHONE_HEADER, voice)
    before = await finished_manifest(data)
    seen = ParticipantSeen(participant_id="par_bbbbbbbbbbbbbbbb", display_name="Bob", role="guest")
    write_events(data, OPENING[0], STOPPED, seen, epoch="0000000000000002")
    async with recorder(data.folder) as process:
        await process.event("recording_finished")
        process.child.terminate()
        assert await process.ended() == 0
        assert "segment_stored" not in [entry["event"] for entry in process.log]
    after = await stored_manifest(data)
    assert after.takes == before.takes
    assert [who.display_name for who in after.participants] == ["Ada", "Bob"]


async def test_a_torn_memo_and_a_folder_that_cannot_be_read_cost_nothing_else(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, MICROPHONE_HEADER, voice)
    closed = data.spool.with_name("rec_" + "z" * 16)
    closed.symlink_to(closed.name)
    data.work.mkdir(parents=True)
    (data.work / f"{MICROPHONE_SEGMENT}.json").write_bytes(b'{"take_id": "tak')
    async with recorder(data.folder) as process:
        await process.event("journals_unreadable", recording_id=closed.name)
        await process.event("memo_unreadable", segment_id=MICROPHONE_SEGMENT)
        await process.event("recording_finished")
        process.child.terminate()
        assert await process.ended() == 0
    assert segments(await stored_manifest(data))[MICROPHONE_SEGMENT].state == "stored"
    assert b"sha256" in (data.work / f"{MICROPHONE_SEGMENT}.json").read_bytes()


@pytest.mark.pain("12")
async def test_a_journal_is_deleted_when_its_file_is_stored_and_its_days_are_over(
    data: Data, voice: list[JournalPacket]
) -> None:
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, MICROPHONE_HEADER, voice)
    async with recorder(data.folder, RecorderSettings(keep_journal_days=0)) as process:
        await process.event("recording_finished")
        await process.event("journals_deleted", recording_id=RECORDING)
    assert not data.spool.exists()
    assert not data.work.exists()


async def test_what_a_recorder_that_died_had_begun_to_delete_is_deleted(data: Data, voice: list[JournalPacket]) -> None:
    write_events(data, *OPENING, STOPPED)
    half = data.spool.rename(data.spool.with_name("rec_bbbbbbbbbbbbbbbb.doomed"))
    (data.folder / "work" / "rec_bbbbbbbbbbbbbbbb").mkdir(parents=True)
    write_events(data, *OPENING, STOPPED)
    write_journal(data.spool, MICROPHONE_HEADER, voice)
    await finished_manifest(data)
    assert not half.exists()
    assert [path.name for path in (data.folder / "work").iterdir()] == [RECORDING]


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
async def test_it_ends_when_its_parent_is_gone_or_asks(data: Data, how: str, voice: list[JournalPacket]) -> None:
    write_events(data, *OPENING)
    held = LockedFile(data.spool / f"{MICROPHONE_SEGMENT}-{EPOCH}.journal")
    held.write(journal_bytes(MICROPHONE_HEADER, voice, end=False))
    async with recorder(data.folder) as process:
        await process.event("spool_followed")
        await _appeared(data.work / f"{MICROPHONE_SEGMENT}.webm", process.child.pid)
        if how == "SIGTERM":
            process.child.send_signal(signal.SIGTERM)
        else:
            assert process.child.stdin is not None
            process.child.stdin.close()
        assert await process.ended() == 0
    held.close()


async def test_there_is_one_recorder_on_a_spool(data: Data) -> None:
    async with recorder(data.folder) as first:
        await first.event("spool_followed")
        async with recorder(data.folder) as second:
            await second.event("spool_in_use")
            assert await second.ended() == 1


async def test_settings_that_it_does_not_know_are_refused() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "recorder", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, said = await child.communicate(b'{"data": "/nowhere", "colour": "red"}\n')
    assert child.returncode == 1
    assert b"colour" in said
