"""What every object store must do with objects that come in parts, held against the folder and a real S3 server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import storage.folder
import storage.s3_uploads
from storage.folder import FolderStore
from storage.ids import new_id
from storage.multipart import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from storage.objects import ObjectInfo, ObjectNotFound, ObjectStore, ObjectStoreError, PartInfo, UploadNotFound
from storage.s3 import S3Store
from storage.settings import S3Settings
from tests.support.parts import CONTENT_TYPE, filled, put_parts, read, upload_ids

PART = MIN_PART_BYTES
KEY = "sessions/s_1/a.webm"


def open_store(kind: str, folder: Path, s3: S3Settings | None) -> ObjectStore:
    if s3 is None:
        return FolderStore(folder / new_id("t"), secret=bytes(32))
    return S3Store(msgspec.structs.replace(s3, prefix=new_id("t")))


@pytest.fixture(params=["folder", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    made = open_store(request.param, tmp_path, request.getfixturevalue("s3") if request.param == "s3" else None)
    await made.start()
    yield made
    await made.close()


async def begin(store: ObjectStore, key: str = KEY, part_bytes: int = PART) -> str:
    return await store.begin_upload(key, part_bytes=part_bytes, content_type=CONTENT_TYPE)


async def refused(attempt: object) -> None:
    with pytest.raises(ObjectStoreError) as raised:
        await attempt  # type: ignore[misc]
    assert raised.value.id == "refused"


async def test_parts_in_any_order_make_the_object(store: ObjectStore) -> None:
    contents = [filled(PART, 1), filled(PART, 2), b"the rest"]
    upload = await begin(store)
    put = [await store.put_part(KEY, upload, number, contents[number - 1]) for number in (3, 1, 2)]
    parts = await store.parts(KEY, upload)
    assert parts == sorted(put, key=lambda part: part.number)
    assert [part.size_bytes for part in parts] == [PART, PART, 8]
    info = await store.complete_upload(KEY, upload, parts)
    assert (info.key, info.size_bytes) == (KEY, 2 * PART + 8)
    assert await store.head(KEY) == info
    assert await read(store, KEY) == b"".join(contents)
    assert [found.key async for found in store.list("")] == [KEY]


async def test_one_short_part_is_enough(store: ObjectStore) -> None:
    upload = await begin(store)
    await store.complete_upload(KEY, upload, await put_parts(store, KEY, upload, [b"x"]))
    assert await read(store, KEY) == b"x"


async def test_the_same_number_replaces(store: ObjectStore) -> None:
    upload = await begin(store)
    first, last = await put_parts(store, KEY, upload, [filled(PART, 1), b"a longer end"])
    again = await store.put_part(KEY, upload, 1, filled(PART, 3))
    shorter = await store.put_part(KEY, upload, 2, b"end")
    assert {first.etag, last.etag}.isdisjoint({again.etag, shorter.etag})
    listed = await store.parts(KEY, upload)
    assert {again, shorter} <= {*listed}
    assert [part.number for part in listed] == sorted(part.number for part in listed)
    await store.complete_upload(KEY, upload, [again, shorter])
    assert await read(store, KEY) == filled(PART, 3) + b"end"


async def test_the_same_part_twice_is_the_same_part(store: ObjectStore) -> None:
    upload = await begin(store)
    once, twice = [await store.put_part(KEY, upload, 1, b"end") for _ in range(2)]
    assert once == twice
    assert await store.parts(KEY, upload) == [once]


async def test_nothing_is_seen_before_it_is_complete(store: ObjectStore) -> None:
    old = await store.put(KEY, b"old", content_type=CONTENT_TYPE)
    upload, other = await begin(store), await begin(store, "sessions/s_1/new.webm")
    parts = await put_parts(store, KEY, upload, [filled(PART, 1), b"new"])
    await store.put_part("sessions/s_1/new.webm", other, 1, b"1")
    assert [info async for info in store.list("sessions/")] == [old]
    assert await read(store, KEY) == b"old"
    with pytest.raises(ObjectNotFound):
        await store.head("sessions/s_1/new.webm")
    await store.complete_upload(KEY, upload, parts)
    assert await read(store, KEY) == filled(PART, 1) + b"new"


async def test_two_uploads_of_one_key_do_not_disturb_each_other(store: ObjectStore) -> None:
    one, other = await begin(store), await begin(store)
    parts = await put_parts(store, KEY, one, [b"one"])
    await put_parts(store, KEY, other, [b"other"])
    await store.abort_upload(KEY, other)
    await store.complete_upload(KEY, one, parts)
    assert await read(store, KEY) == b"one"


async def test_what_does_not_make_an_object_is_refused_and_loses_nothing(store: ObjectStore) -> None:
    upload = await begin(store)
    contents = [filled(PART, 1), filled(PART, 2), b"end"]
    first, second, last = await put_parts(store, KEY, upload, contents)
    unknown = PartInfo(4, 3, last.etag)
    stale = PartInfo(2, PART, first.etag)
    for parts in (
        [],
        [second, last],
        [first, last],
        [second, first, last],
        [first, first],
        [first, stale, last],
        [first, second, last, unknown],
        [PartInfo(1, 3, last.etag), PartInfo(2, PART, second.etag)],
    ):
        await refused(store.complete_upload(KEY, upload, parts))
    with pytest.raises(ObjectNotFound):
        await store.head(KEY)
    assert await store.parts(KEY, upload) == [first, second, last]
    await store.complete_upload(KEY, upload, [first, second, last])
    assert await read(store, KEY) == b"".join(contents)


async def test_a_part_that_none_can_be_is_refused(store: ObjectStore) -> None:
    upload = await begin(store)
    for number, data in ((0, b"1"), (-1, b"1"), (MAX_PARTS + 1, b"1"), (1, b""), (1, bytes(MAX_PART_BYTES + 1))):
        await refused(store.put_part(KEY, upload, number, data))
    assert await store.parts(KEY, upload) == []


async def test_a_size_of_parts_that_s3_would_not_take_is_refused(store: ObjectStore) -> None:
    for part_bytes in (0, MIN_PART_BYTES - 1, MAX_PART_BYTES + 1):
        await refused(begin(store, part_bytes=part_bytes))
    assert await upload_ids(store, "") == set()


async def test_what_is_over_takes_nothing_more(store: ObjectStore) -> None:
    completed, aborted = await begin(store), await begin(store)
    parts = await put_parts(store, KEY, completed, [b"whole"])
    await put_parts(store, KEY, aborted, [b"lost"])
    await store.complete_upload(KEY, completed, parts)
    for _ in range(2):
        await store.abort_upload(KEY, aborted)
    for upload in (completed, aborted, "0" * 32, "never-begun"):
        for attempt in (store.put_part(KEY, upload, 1, b"1"), store.parts(KEY, upload)):
            with pytest.raises(UploadNotFound):
                await attempt
        await store.abort_upload(KEY, upload)
    with pytest.raises(UploadNotFound):
        await store.complete_upload(KEY, aborted, parts)
    assert await read(store, KEY) == b"whole"
    assert await upload_ids(store, "") == set()


async def test_uploads_are_listed_by_the_beginning_of_their_keys(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.folder, "LIST_PAGE", 2)
    monkeypatch.setattr(storage.s3_uploads, "PAGE", 2)
    began = time.time()
    made = {(key, await begin(store, key)) for key in ("a/1", "a/1", "a/1", "a/2", "a/3", "ab", "b/1")}
    assert await upload_ids(store, "") == made
    assert await upload_ids(store, "a/") == {each for each in made if each[0].startswith("a/")}
    assert await upload_ids(store, "a/1") == {each for each in made if each[0] == "a/1"}
    assert await upload_ids(store, "c") == set()
    assert all([abs(upload.begun_s - began) < 60 async for upload in store.uploads("")])
    for key, upload in made:
        await store.abort_upload(key, upload)
    assert await upload_ids(store, "") == set()


async def test_many_parts_are_all_listed(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.s3_uploads, "PAGE", 2)
    upload = await begin(store)
    numbers = [1, 2, 3, 9, 10, 11, 100]
    put = await asyncio.gather(*(store.put_part(KEY, upload, number, b"%d" % number) for number in numbers))
    assert await store.parts(KEY, upload) == put


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a b", "ä"])
async def test_a_bad_key_is_refused_by_every_method(store: ObjectStore, key: str) -> None:
    for attempt in (
        begin(store, key),
        store.put_part(key, "0" * 32, 1, b"1"),
        store.parts(key, "0" * 32),
        store.complete_upload(key, "0" * 32, [PartInfo(1, 1, "0" * 32)]),
        store.abort_upload(key, "0" * 32),
    ):
        await refused(attempt)
    await refused(upload_ids(store, "/"))


class Uploads(RuleBasedStateMachine):
    """A store beside a dictionary: whatever is done in whatever order, both have the same uploads and objects."""

    store: ObjectStore
    loop: asyncio.Runner
    prefix: str
    part_bytes = PART

    def __init__(self) -> None:
        super().__init__()
        self.prefix = new_id("k")
        self.uploads: dict[str, tuple[str, dict[int, tuple[PartInfo, bytes]]]] = {}
        self.objects: dict[str, bytes] = {}

    @rule(key=st.sampled_from("ab"))
    @precondition(lambda self: len(self.uploads) < 3)
    def begin(self, key: str) -> None:
        name = f"{self.prefix}/{key}"
        self.uploads[self.loop.run(begin(self.store, name))] = (name, {})

    @rule(number=st.integers(1, 3), mark=st.integers(0, 255), size=st.sampled_from([1, PART - 1, PART]), of=st.data())
    @precondition(lambda self: bool(self.uploads))
    def put(self, number: int, mark: int, size: int, of: st.DataObject) -> None:
        upload, key, parts = self._choose(of)
        content = filled(size, mark)
        parts[number] = self.loop.run(self.store.put_part(key, upload, number, content)), content

    @rule(count=st.integers(1, 3), of=st.data())
    @precondition(lambda self: bool(self.uploads))
    def complete(self, count: int, of: st.DataObject) -> None:
        upload, key, parts = self._choose(of)
        told = [parts[number] for number in sorted(parts)[:count]]
        sizes = [len(content) for _, content in told]
        whole = [info.number for info, _ in told] == list(range(1, len(told) + 1)) and bool(told)
        if whole and all(size == PART for size in sizes[:-1]):
            self._complete(key, upload, [info for info, _ in told])
            self.objects[key] = b"".join(content for _, content in told)
            del self.uploads[upload]
        else:
            self.loop.run(refused(self.store.complete_upload(key, upload, [info for info, _ in told])))

    @rule(of=st.data())
    @precondition(lambda self: bool(self.uploads))
    def abort(self, of: st.DataObject) -> None:
        upload, key, _ = self._choose(of)
        self.loop.run(self.store.abort_upload(key, upload))
        del self.uploads[upload]

    @invariant()
    def both_have_the_same(self) -> None:
        self.loop.run(self._compare())

    def _choose(self, of: st.DataObject) -> tuple[str, str, dict[int, tuple[PartInfo, bytes]]]:
        upload = of.draw(st.sampled_from(sorted(self.uploads)))
        return upload, *self.uploads[upload]

    def _complete(self, key: str, upload: str, parts: list[PartInfo]) -> ObjectInfo:
        return self.loop.run(self.store.complete_upload(key, upload, parts))

    async def _compare(self) -> None:
        expected = {(key, upload) for upload, (key, _) in self.uploads.items()}
        assert await upload_ids(self.store, self.prefix) == expected
        for upload, (key, parts) in self.uploads.items():
            listed = await self.store.parts(key, upload)
            assert {info for info, _ in parts.values()} <= {*listed}
            assert {info.number for info in listed} == parts.keys()
        found = {info.key async for info in self.store.list(self.prefix)}
        assert found == self.objects.keys()
        for key, content in self.objects.items():
            assert await read(self.store, key) == content


@pytest.mark.parametrize(("kind", "examples"), [("folder", 25), ("s3", 10)])
def test_uploads_in_any_order(kind: str, examples: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    s3 = request.getfixturevalue("s3") if kind == "s3" else None
    with asyncio.Runner() as loop:
        store = open_store(kind, tmp_path, s3)
        loop.run(store.start())
        machine = type("UploadsOfOneStore", (Uploads,), {"store": store, "loop": loop})
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine, settings=settings(max_examples=examples, stateful_step_count=12, deadline=None)
        )
        loop.run(store.close())
