"""Finishing files from parts and tails: whatever the store has, as long as it begins at the beginning."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder import provisional as provisionals
from recorder.journal import Record
from recorder.manifest import Manifest, OffRecord, Segment, Take, decode, manifest_key
from recorder.provisional import Provisional, UnfinishedFile, provisional_key
from recorder.settings import RecorderSettings
from recorder.store_recovery import RecoveryError, recover
from recorder.tail_plan import Tail, tail_key
from recorder.upload_plan import SentPart
from storage import multipart
from storage.folder import FolderStore
from tests.support.encoded import opus_packets
from tests.support.files import FileReport, inspect
from tests.support.journals import audio_packets, pipeline
from tests.support.parts import read, upload_ids

SESSION, RECORDING, SEGMENT = "ses_1", "rec_1", "seg_1"
KEY = f"sessions/{SESSION}/recordings/{RECORDING}/server/{SEGMENT}.webm"
WEBM = "audio/webm"
PART = 100_000
START_NS = 7_000_000_000


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """20 s of sound, in a file that is still written."""
    made = pipeline("opus", tmp_path_factory.mktemp("film"), RecorderSettings(index_bytes=64 * 1024))
    made.feed(list[Record](audio_packets(opus_packets(1000))))
    data = made.path.read_bytes()
    made.abandon()
    return data


class Lost:
    """What a lost machine left in the store."""

    def __init__(self, store: FolderStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.file = UnfinishedFile(
            segment_id=SEGMENT,
            take_id="tak_1",
            codec="opus",
            content_type=WEBM,
            key=KEY,
            start_ns=START_NS,
            upload_id="",
            part_bytes=PART,
            parts=[],
            tails=[],
        )
        self.manifest = Manifest(
            session_id=SESSION,
            recording_id=RECORDING,
            title="A talk",
            started_ns=5_000_000_000,
            stopped_ns=5_000_000_000,
            takes=[Take(take_id="tak_1", participant_id="par_1", kind="microphone", slot=0)],
        )

    async def part(self, number: int, data: bytes, *, named: bool = True) -> None:
        if not self.file.upload_id:
            self.file.upload_id = await self.store.begin_upload(KEY, part_bytes=PART, content_type=WEBM)
        info = await self.store.put_part(KEY, self.file.upload_id, number, data)
        if named:
            self.file.parts.append(SentPart(number, info.size_bytes, info.etag, hashlib.sha256(data).hexdigest()))

    async def tail(self, offset: int, data: bytes, *, named: bool = True) -> None:
        await self.store.put(tail_key(KEY, offset), data, content_type="application/octet-stream")
        if named:
            self.file.tails.append(Tail(offset, len(data), hashlib.sha256(data).hexdigest()))

    async def leave(self) -> None:
        provisional = Provisional(written_s=0.0, manifest=self.manifest, uploads=[self.file])
        key = provisional_key(SESSION, RECORDING)
        await self.store.put(key, provisionals.encode(provisional), content_type="application/json")

    async def recover(self) -> Segment:
        await self.leave()
        manifest = await recover(self.store, RECORDING, self.folder, 0.0)
        assert manifest == decode(await read(self.store, manifest_key(SESSION, RECORDING)))
        assert await upload_ids(self.store, "") == set()
        assert list(self.folder.iterdir()) == []
        [take] = manifest.takes
        [segment] = take.segments
        assert segment.start_ns == START_NS
        return segment

    async def file_of(self, segment: Segment) -> FileReport:
        """The only object beside the manifest; sound and whole."""
        keys = {info.key async for info in self.store.list("")}
        assert keys == {KEY, manifest_key(SESSION, RECORDING)}
        data = await read(self.store, KEY)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (segment.size_bytes, segment.sha256)
        path = self.folder / "file.webm"
        path.write_bytes(data)
        report = inspect(path)
        path.unlink()
        assert report.sound
        assert report.duration_s == pytest.approx(segment.duration_ns / 1e9, abs=0.05)
        return report


@pytest.fixture
async def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lost]:
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 1)
    store = FolderStore(tmp_path / "store", secret=bytes(32))
    await store.start()
    (tmp_path / "folder").mkdir()
    yield Lost(store, tmp_path / "folder")
    await store.close()


async def test_tails_alone_make_a_file(lost: Lost, film: bytes) -> None:
    await lost.tail(0, film[:70_000])
    await lost.tail(70_000, film[70_000:90_000], named=False)
    segment = await lost.recover()
    assert (segment.state, segment.torn, segment.object_key) == ("stored", True, KEY)
    assert 1 < (await lost.file_of(segment)).streams[0].span_s < 5


async def test_parts_and_what_follows_them_make_a_file(lost: Lost, film: bytes) -> None:
    await lost.part(1, film[:PART])
    await lost.tail(0, film[:80_000])  # needless, and not deleted yet
    await lost.part(2, film[PART : 2 * PART], named=False)
    await lost.tail(PART + 50_000, film[PART + 50_000 : 2 * PART])
    await lost.tail(2 * PART, film[2 * PART : 2 * PART + 7])
    await lost.tail(2 * PART + 7, film[2 * PART + 7 :], named=False)
    segment = await lost.recover()
    assert segment.state == "stored"
    assert (await lost.file_of(segment)).streams[0].span_s > 17


async def test_an_upload_that_was_begun_after_the_last_provisional_manifest_is_found(lost: Lost, film: bytes) -> None:
    """Its tails were deleted when its first part had come: nothing was left of the file."""
    await lost.part(1, film[:PART])
    await lost.tail(PART, film[PART:150_000], named=False)
    lost.file.upload_id = ""
    lost.file.parts.clear()
    segment = await lost.recover()
    assert (await lost.file_of(segment)).streams[0].span_s > 5


async def test_behind_a_hole_or_damage_nothing_is_taken(lost: Lost, film: bytes) -> None:
    await lost.part(1, film[:PART])
    await lost.part(3, film[2 * PART : 3 * PART])
    await lost.tail(PART, film[PART : PART + 30_000])
    await lost.tail(PART + 30_000, film[PART + 30_000 : PART + 40_000])
    await lost.store.put(tail_key(KEY, PART + 30_000), bytes(10_000), content_type="application/octet-stream")
    await lost.tail(PART + 50_000, film[PART + 50_000 : 2 * PART])
    whole = (await lost.file_of(await lost.recover())).streams[0].span_s
    assert 2 < whole < 9


async def test_begun_again_it_ends_the_same(lost: Lost, film: bytes) -> None:
    """Killed when the object was completed, and before it was remuxed."""
    await lost.part(1, film[:PART])
    await lost.tail(PART, film[PART:150_000])
    rest = await lost.store.put_part(KEY, lost.file.upload_id, 2, film[PART:150_000])
    await lost.store.complete_upload(KEY, lost.file.upload_id, [lost.file.parts[0].info(), rest])
    segment = await lost.recover()
    first = await lost.file_of(segment)
    await lost.store.delete(manifest_key(SESSION, RECORDING))
    again = await lost.recover()
    assert (again.sha256, again.state) == (segment.sha256, "stored")
    assert (await lost.file_of(again)).streams[0].packets == first.streams[0].packets


async def test_a_file_of_which_the_store_has_nothing_is_failed_and_said(lost: Lost) -> None:
    segment = await lost.recover()
    assert (segment.state, segment.object_key, segment.problem) == (
        "failed",
        "",
        "nothing of it was in the object store",
    )


async def test_what_may_hold_something_off_the_record_is_not_named(lost: Lost, film: bytes) -> None:
    await lost.tail(0, film[:90_000])
    lost.manifest.off_record = [
        OffRecord(off_record_id="off_1", start_ns=START_NS, stop_ns=START_NS + 1, marked_by="par_1", marked_ns=0)
    ]
    segment = await lost.recover()
    assert (segment.state, segment.object_key, segment.file_name, segment.sha256) == ("stored", "", "", "")


async def test_what_changes_meanwhile_is_left_alone(lost: Lost, film: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    await lost.tail(0, film[:90_000])
    await lost.leave()
    await lost.tail(90_000, film[90_000:95_000])

    async def meanwhile(_: float) -> None:
        await lost.leave()

    monkeypatch.setattr("recorder.store_recovery.asyncio.sleep", meanwhile)
    with pytest.raises(RecoveryError, match="still recorded"):
        await recover(lost.store, RECORDING, lost.folder, 15.0)
    assert len([info async for info in lost.store.list("")]) == 3


@pytest.mark.parametrize("left", [None, b"{damaged"])
async def test_what_is_unknown_or_damaged_is_said(lost: Lost, left: bytes | None) -> None:
    if left is not None:
        await lost.store.put(provisional_key(SESSION, RECORDING), left, content_type="application/json")
    with pytest.raises(RecoveryError, match="cannot be read" if left else "nothing unfinished"):
        await recover(lost.store, RECORDING, lost.folder, 0.0)
