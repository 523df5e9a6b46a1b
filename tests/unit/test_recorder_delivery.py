"""What is delivered is verified, and every step is taken again until it succeeds."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from recorder import delivery as module
from recorder.delivery import Delivery
from recorder.events import TakeOpened
from recorder.manifest import Manifest, Segment
from storage.objects import ObjectInfo, ObjectNotFound, ObjectStore, ObjectStoreError
from tests.support.fake_catalog import FakeCatalog

TAKE = TakeOpened(take_id="tak_1", participant_id="par_1", kind="camera", slot=0)
CONTENT = b"a file" * 1_000


class Store:
    """Keeps objects in memory; fails as often as `failures` says, then works."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failures = 0
        self.damages = 0
        self.puts = 0

    def _maybe_fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ObjectStoreError("unavailable", "not now")

    async def put(self, key: str, data: bytes, *, content_type: str) -> ObjectInfo:
        self._maybe_fail()
        self.puts += 1
        self.objects[key] = data
        return ObjectInfo(key, len(data))

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectInfo:
        data = path.read_bytes()
        if self.damages:
            self.damages -= 1
            data = b"x" + data[1:]
        return await self.put(key, data, content_type=content_type)

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        self._maybe_fail()
        if key not in self.objects:
            raise ObjectNotFound(key)
        for at in range(0, len(self.objects[key]), 1_000):
            yield self.objects[key][at : at + 1_000]

    async def head(self, key: str) -> ObjectInfo:
        self._maybe_fail()
        return ObjectInfo(key, len(self.objects[key]))

    async def delete(self, key: str) -> None:
        self._maybe_fail()
        self.objects.pop(key, None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "seg_1.webm"
    path.write_bytes(CONTENT)
    return path


async def deliver(store: Store, catalog: FakeCatalog, file: Path) -> Segment:
    segment = Segment(segment_id="seg_1", copy="server", state="finishing", codec="vp8", content_type="video/webm")
    await delivery(store, catalog).deliver(segment, file, TAKE, "ses_1", "rec_1")
    return segment


def delivery(store: Store, catalog: FakeCatalog) -> Delivery:
    return Delivery(catalog, store)  # type: ignore[arg-type]  # only what is used


@pytest.mark.pain("12")
async def test_a_file_is_stored_verified_and_said_to_be_stored_in_this_order(file: Path) -> None:
    store, catalog = Store(), FakeCatalog()
    segment = await deliver(store, catalog, file)
    assert segment.object_key == "sessions/ses_1/recordings/rec_1/server/seg_1.webm"
    assert store.objects[segment.object_key] == CONTENT
    assert (segment.size_bytes, segment.sha256) == (len(CONTENT), sha256(CONTENT).hexdigest())
    assert catalog.states == ["finishing", "stored"]
    assert catalog.rows["seg_1"].sha256 == segment.sha256


@pytest.mark.pain("12")
async def test_an_outage_of_store_and_database_is_waited_for(file: Path) -> None:
    store, catalog = Store(), FakeCatalog()
    store.failures, catalog.failures = 5, 3
    segment = await deliver(store, catalog, file)
    assert segment.state == "stored"
    assert catalog.states == ["finishing", "stored"]


async def test_what_does_not_read_back_is_put_again_before_anything_says_stored(file: Path) -> None:
    store, catalog = Store(), FakeCatalog()
    store.damages = 2
    segment = await deliver(store, catalog, file)
    assert store.puts == 3
    assert store.objects[segment.object_key] == CONTENT
    assert catalog.states == ["finishing", "stored"]


async def test_what_is_there_is_not_put_again_because_it_could_not_be_read_back(file: Path) -> None:
    class Unreadable(Store):
        async def head(self, key: str) -> ObjectInfo:
            if self.puts and self.damages < 3:
                self.damages += 1
                raise ObjectStoreError("unavailable", "not now")
            return await super().head(key)

    store = Unreadable()
    await deliver(store, FakeCatalog(), file)
    assert (store.puts, store.damages) == (1, 3)


async def test_delivering_twice_gives_the_same(file: Path) -> None:
    store, catalog = Store(), FakeCatalog()
    assert await deliver(store, catalog, file) == await deliver(store, catalog, file)


async def test_chunks_are_appended_and_compared(tmp_path: Path) -> None:
    store = Store()
    store.objects = {"a": b"1" * 1_500, "b": b"2" * 10}
    target = tmp_path / "joined"
    target.write_bytes(b"")
    store.failures = 1
    for key, data in store.objects.items():
        await delivery(store, FakeCatalog()).fetch(key, len(data), sha256(data).hexdigest(), target)
    assert target.read_bytes() == b"1" * 1_500 + b"2" * 10


async def test_a_chunk_that_is_gone_is_no_outage(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound):
        await delivery(Store(), FakeCatalog()).fetch("gone", 1, "", tmp_path / "joined")


async def test_a_row_counts_only_when_it_says_stored(file: Path) -> None:
    store, catalog = Store(), FakeCatalog()
    assert await delivery(store, catalog).stored_row("seg_1") is None
    await deliver(store, catalog, file)
    assert await delivery(store, catalog).stored_row("seg_1") is catalog.rows["seg_1"]
    catalog.rows["seg_1"].state = "capturing"
    assert await delivery(store, catalog).stored_row("seg_1") is None


async def test_a_recording_is_finished_after_its_manifest_is_in_the_store() -> None:
    store, catalog = Store(), FakeCatalog()
    store.failures = 2
    manifest = Manifest(session_id="ses_1", recording_id="rec_1", title="", started_ns=0, stopped_ns=7)
    await delivery(store, catalog).finish(manifest, b"{}")
    assert store.objects == {"sessions/ses_1/recordings/rec_1/manifest.json": b"{}"}
    assert catalog.recording == [7, "finished"]


def test_the_double_is_shaped_like_a_store() -> None:
    """As far as it goes."""
    assert {name for name in vars(Store) if not name.startswith("_")} <= set(dir(ObjectStore))
