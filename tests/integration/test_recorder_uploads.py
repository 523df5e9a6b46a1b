"""The recorder process sends a growing file in parts, to a folder and to a real S3 server: killed, and cut off."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recorder.events import ParticipantSeen, RecordingStarted, RecordingStopped, TakeOpened
from recorder.journal import JournalPacket, encode_end, encode_event, encode_head, events_name, track_name
from recorder.manifest import Segment, manifest_key
from recorder.manifest import decode as decode_manifest
from recorder.orphans import AGE_S
from recorder.provisional import provisional_key
from recorder.settings import RecorderSettings
from recorder.tail_plan import is_tail
from recorder.upload_plan import PART_BYTES
from storage.folder import FolderStore
from storage.ids import new_id
from storage.settings import ObjectStoreSettings
from tests.support.cut_line import CutLine, serving
from tests.support.encoded import vp8_frames, vp8_payloads
from tests.support.journals import (
    EPOCH,
    RECORDING,
    SESSION,
    ZERO_NS,
    LockedFile,
    S,
    file_header,
    journal_bytes,
    make_file,
    track_header,
    video_packets,
)
from tests.support.parts import upload_ids
from tests.support.recorder import PARTICIPANT, Data, RecorderProcess, open_data, recorder

TAKE, SEGMENT = "tak_cccccccccccccccc", "seg_cccccccccccccccc"
HEADER = track_header("vp8", take_id=TAKE, segment_id=SEGMENT)
FRAMES = 240
FRAME_BYTES = 95_000
PARTS = FRAMES * FRAME_BYTES // PART_BYTES + 1
EVENTS = [
    RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="A talk", started_ns=S // 2),
    ParticipantSeen(participant_id=PARTICIPANT, display_name="Ada", role="host"),
    TakeOpened(take_id=TAKE, participant_id=PARTICIPANT, kind="camera", slot=0),
    RecordingStopped(stopped_ns=9 * S),
]


@dataclass
class Spooled:
    """A recording whose journal is written in steps, and the program that works on it."""

    data: Data
    objects: ObjectStoreSettings
    packets: list[JournalPacket]
    journal: LockedFile
    content: bytes
    line: CutLine | None = None
    """Before the store, if it is an S3 server."""
    written: int = 0

    def write(self, share: float) -> None:
        """The journal up to this share of it."""
        end = int(len(self.content) * share)
        self.journal.write(self.content[self.written : end])
        self.written = end

    def recorder(self, settings: RecorderSettings | None = None) -> AbstractAsyncContextManager[RecorderProcess]:
        return recorder(self.data.folder, settings, self.objects)

    async def segment(self) -> Segment:
        """As the manifest has it; its object has the size and digest that the manifest says."""
        manifest = decode_manifest(await self.data.read(manifest_key(SESSION, RECORDING)))
        ((segment,),) = [take.segments for take in manifest.takes]
        return segment

    async def stored_as(self, expected: Path) -> None:
        segment = await self.segment()
        assert segment.state == "stored"
        assert await self.data.read(segment.object_key) == expected.read_bytes()
        assert await upload_ids(self.data.store, "") == set()
        assert not [info.key async for info in self.data.store.list("sessions/") if is_tail(info.key)]
        assert [path.name for path in self.data.work.glob("seg_*")] == [f"{SEGMENT}.json"]


@pytest.fixture(scope="module")
def packets() -> list[JournalPacket]:
    """8 s of a camera that sends much more than it shows: each frame is followed by noise."""
    noise = np.random.default_rng(11)
    frames = [frame + noise.bytes(FRAME_BYTES) for frame in vp8_frames(FRAMES // 4) * 4]
    return video_packets(frames, vp8_payloads)


@pytest.fixture(params=["folder", "s3"])
async def spooled(
    request: pytest.FixtureRequest, tmp_path: Path, packets: list[JournalPacket]
) -> AsyncIterator[Spooled]:
    async with AsyncExitStack() as stack:
        objects, line = ObjectStoreSettings(), None
        if request.param == "s3":
            server = request.getfixturevalue("s3")
            line = CutLine(server.endpoint)
            endpoint = await stack.enter_async_context(serving(line))
            s3 = msgspec.structs.replace(server, endpoint=endpoint, prefix=new_id("t"))
            objects = ObjectStoreSettings(kind="s3", s3=s3)
        data = await stack.enter_async_context(open_data(tmp_path, objects))
        data.spool.mkdir(parents=True)
        events = [encode_head(file_header()), *map(encode_event, EVENTS), encode_end(ZERO_NS, 0)]
        (data.spool / events_name(EPOCH)).write_bytes(b"".join(events))
        journal = LockedFile(data.spool / track_name(SEGMENT, EPOCH))
        yield Spooled(data, objects, packets, journal, journal_bytes(HEADER, packets), line)


@pytest.fixture(scope="module")
def expected(packets: list[JournalPacket], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that one pass over the journal makes."""
    return make_file("vp8", packets, tmp_path_factory.mktemp("expected"))[1]


def sent(process: RecorderProcess) -> list[int]:
    return [entry["number"] for entry in process.log if entry["event"] == "part_sent"]


@pytest.mark.pain("16")
async def test_parts_go_while_the_recording_runs_and_the_object_is_the_file(spooled: Spooled, expected: Path) -> None:
    async with spooled.recorder() as process:
        spooled.write(0.5)
        await process.event("part_sent", number=1)
        keys = [info.key async for info in spooled.data.store.list("sessions/")]
        assert all(is_tail(key) or key == provisional_key(SESSION, RECORDING) for key in keys)
        assert not await spooled.data.catalog.segments(RECORDING)
        spooled.write(0.95)
        await process.event("part_sent", number=PARTS - 1)
        spooled.write(1.0)
        spooled.journal.close()
        await process.event("tails_deleted")
    assert sent(process) == [*range(1, PARTS), 1, PARTS]
    await spooled.stored_as(expected)


async def test_killed_at_each_part_it_goes_on_with_the_same_upload(spooled: Spooled, expected: Path) -> None:
    every = []
    for number in range(1, PARTS):
        async with spooled.recorder() as process:
            spooled.write((number + 0.8) / PARTS)
            await process.event("part_sent", number=number)
            await process.kill()
        every += sent(process)
    spooled.write(1.0)
    spooled.journal.close()
    async with spooled.recorder() as process:
        await process.event("tails_deleted")
    every += sent(process)
    # a part whose memory was not yet written when the process was killed goes again
    assert set(every) == {*range(1, PARTS + 1)}
    assert len(every) <= PARTS + 1 + (PARTS - 1)
    await process.event("upload_resumed")
    await spooled.stored_as(expected)


async def test_a_file_whose_index_outgrew_its_space_is_put_whole(
    spooled: Spooled, packets: list[JournalPacket], tmp_path: Path
) -> None:
    settings = RecorderSettings(index_bytes=64)
    spooled.write(0.99)
    async with spooled.recorder(settings) as process:
        await process.event("part_sent", number=PARTS - 1)
        spooled.write(1.0)
        spooled.journal.close()
        await process.event("upload_of_another_file")
        await process.event("tails_deleted")
    await spooled.stored_as(make_file("vp8", packets, tmp_path / "expected", settings=settings)[1])


@pytest.mark.parametrize("spooled", ["s3"], indirect=True)
async def test_a_store_that_goes_in_the_middle_of_a_part_and_comes_back_has_every_part_once(
    spooled: Spooled, expected: Path
) -> None:
    line = spooled.line
    assert line is not None
    async with spooled.recorder() as process:
        spooled.write(0.4)
        await process.event("part_sent", number=1)
        line.after_bytes, line.cuts = 1 << 20, 1_000_000
        spooled.write(0.99)
        await process.event("part_upload_failed")
        spooled.write(1.0)
        spooled.journal.close()
        await process.event("segment_upload_failed")
        line.after_bytes = 0  # nothing comes through any more
        line.cut.clear()
        await line.cut.wait()
        assert [row.state for row in await spooled.data.catalog.segments(RECORDING)] == ["finishing"]
        assert (spooled.data.work / f"{SEGMENT}.webm").read_bytes() == expected.read_bytes()
        line.cuts = 0
        await process.event("tails_deleted")
    assert sorted(sent(process)) == [1, *range(1, PARTS + 1)]
    assert [entry for entry in process.log if entry["event"] == "upload_begun"][1:] == []
    await spooled.stored_as(expected)


async def test_an_upload_that_nobody_goes_on_with_is_aborted_after_a_day(tmp_path: Path) -> None:
    async with open_data(tmp_path) as data:
        store = FolderStore(tmp_path / "objects", secret=bytes(32), clock=lambda: time.time() - AGE_S - 60)
        await store.begin_upload("sessions/old", part_bytes=PART_BYTES, content_type="video/webm")
        young = await data.store.begin_upload("sessions/young", part_bytes=PART_BYTES, content_type="video/webm")
        async with recorder(tmp_path) as process:
            await process.event("orphaned_uploads_aborted", uploads=1)
        assert await upload_ids(data.store, "") == {("sessions/young", young)}
        await store.close()
