"""What a folder does with objects in parts beyond the contract: what a crash leaves, and what is never taken away."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.folder import DRAFT_LIFE_S, INCOMING, FolderStore
from storage.folder_uploads import ABOUT, DRAFT
from storage.multipart import MIN_PART_BYTES
from storage.objects import ObjectNotFound, ObjectStoreError, UploadNotFound
from tests.support.parts import CONTENT_TYPE, filled, put_parts, read, upload_ids

KEY = "a/b.webm"
PART = MIN_PART_BYTES


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FolderStore]:
    made = FolderStore(tmp_path / "objects", secret=bytes(32))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def incoming(store: FolderStore) -> Path:
    return store.path_of("x").parent / INCOMING


async def begin(store: FolderStore, key: str = KEY) -> str:
    return await store.begin_upload(key, part_bytes=PART, content_type=CONTENT_TYPE)


def age(path: Path, age_s: float) -> None:
    os.utime(path, (time.time() - age_s,) * 2)


async def test_another_process_goes_on_where_one_was_killed(store: FolderStore, incoming: Path) -> None:
    upload = await begin(store)
    await store.put_part(KEY, upload, 1, filled(PART, 1))
    other = FolderStore(incoming.parent, secret=bytes(32))
    await other.start()
    await other.put_part(KEY, upload, 2, b"end")
    await other.complete_upload(KEY, upload, await other.parts(KEY, upload))
    await other.close()
    assert await read(store, KEY) == filled(PART, 1) + b"end"


async def test_completing_copies_nothing_and_leaves_nothing(store: FolderStore, incoming: Path) -> None:
    upload = await begin(store)
    parts = await put_parts(store, KEY, upload, [filled(PART, 1), b"end"])
    draft = (incoming / upload / DRAFT).stat().st_ino
    await store.complete_upload(KEY, upload, parts)
    assert store.path_of(KEY).stat().st_ino == draft
    assert os.listdir(incoming) == []


async def test_a_part_is_on_disk_before_it_counts(
    store: FolderStore, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begin(store)
    await store.put_part(KEY, upload, 1, b"before")
    seen: list[list[str]] = []
    fdatasync = os.fdatasync

    def noted(descriptor: int) -> None:
        seen.append([name for name in os.listdir(incoming / upload) if name not in (ABOUT, DRAFT)])
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    part = await store.put_part(KEY, upload, 1, b"after")
    assert seen == [[]]  # neither the part that was replaced nor the new one: the bytes may be either's
    assert await store.parts(KEY, upload) == [part]


async def test_a_part_that_a_full_disk_cut_is_none_and_may_be_put_again(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begin(store)
    first, second = await put_parts(store, KEY, upload, [filled(PART, 1), b"before"])

    def full(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(os, "pwrite", full)
        with pytest.raises(ObjectStoreError, match="No space left") as failed:
            await store.put_part(KEY, upload, 2, b"after")
    assert failed.value.id == "unavailable"
    assert await store.parts(KEY, upload) == [first]
    with pytest.raises(ObjectStoreError, match="not these parts"):
        await store.complete_upload(KEY, upload, [first, second])
    again = await store.put_part(KEY, upload, 2, b"after")
    await store.complete_upload(KEY, upload, [first, again])
    assert await read(store, KEY) == filled(PART, 1) + b"after"


async def test_an_upload_that_waited_for_days_is_not_swept(store: FolderStore, incoming: Path) -> None:
    upload = await begin(store)
    await store.put_part(KEY, upload, 1, b"1")
    for path in (*(incoming / upload).iterdir(), incoming / upload):
        age(path, 3 * DRAFT_LIFE_S)
    await store.start()
    assert await upload_ids(store, "") == {(KEY, upload)}
    await store.complete_upload(KEY, upload, await store.parts(KEY, upload))
    assert await read(store, KEY) == b"1"


@pytest.mark.parametrize("left", [[], [DRAFT], [ABOUT], [DRAFT, "00001-1-" + "0" * 32]])
async def test_what_a_crash_left_of_an_upload_is_none_and_is_swept_when_it_is_old(
    store: FolderStore, incoming: Path, left: list[str]
) -> None:
    upload = await begin(store)
    for name in (ABOUT, DRAFT):
        if name not in left:
            (incoming / upload / name).unlink()
    for name in left:
        (incoming / upload / name).touch()
    assert await upload_ids(store, "") == set()
    with pytest.raises(UploadNotFound):
        await store.parts(KEY, upload)
    await store.start()
    assert os.listdir(incoming) == [upload]
    age(incoming / upload, DRAFT_LIFE_S + 60)
    await store.start()
    assert os.listdir(incoming) == []


@pytest.mark.parametrize(
    "upload", ["", ".", "..", "../..", "/", "a" * 31, "0" * 33, "0" * 32 + "\n", "\0", "+incoming"]
)
async def test_an_id_that_is_none_leads_nowhere(store: FolderStore, incoming: Path, upload: str) -> None:
    await store.put(KEY, b"kept", content_type=CONTENT_TYPE)
    with pytest.raises(UploadNotFound):
        await store.put_part(KEY, upload, 1, b"1")
    await store.abort_upload(KEY, upload)
    assert await read(store, KEY) == b"kept"
    assert os.listdir(incoming) == []


async def test_an_upload_is_of_one_key(store: FolderStore) -> None:
    upload = await begin(store)
    parts = await put_parts(store, KEY, upload, [b"1"])
    with pytest.raises(UploadNotFound):
        await store.complete_upload("another", upload, parts)
    await store.abort_upload("another", upload)
    assert await store.parts(KEY, upload) == parts


async def test_a_part_longer_than_was_said_would_reach_into_the_next(store: FolderStore) -> None:
    upload = await begin(store)
    with pytest.raises(ObjectStoreError, match="bytes") as refused:
        await store.put_part(KEY, upload, 1, bytes(PART + 1))
    assert refused.value.id == "refused"


async def test_parts_that_leave_a_hole_make_no_object(store: FolderStore) -> None:
    """They are of one size, as S3 wants it, and it is not the one that was said."""
    upload = await store.begin_upload(KEY, part_bytes=PART + 1, content_type=CONTENT_TYPE)
    parts = await put_parts(store, KEY, upload, [filled(PART, 1), filled(PART, 2)])
    with pytest.raises(ObjectStoreError, match="every part but the last") as refused:
        await store.complete_upload(KEY, upload, parts)
    assert refused.value.id == "refused"
    with pytest.raises(ObjectNotFound):
        await store.head(KEY)


async def test_a_key_in_the_way_is_refused_and_the_upload_stays(store: FolderStore) -> None:
    upload = await begin(store, "a")
    parts = await put_parts(store, "a", upload, [b"1"])
    await store.put("a/b", b"2", content_type=CONTENT_TYPE)
    with pytest.raises(ObjectStoreError, match="in the way"):
        await store.complete_upload("a", upload, parts)
    await store.delete("a/b")
    await store.complete_upload("a", upload, parts)
    assert await read(store, "a") == b"1"


async def test_two_that_put_the_same_part_leave_one_of_both(store: FolderStore, incoming: Path) -> None:
    other = FolderStore(incoming.parent, secret=bytes(32))
    upload = await begin(store)
    await asyncio.gather(
        *(each.put_part(KEY, upload, 1, filled(PART, mark)) for mark in range(8) for each in (store, other))
    )
    (part,) = await store.parts(KEY, upload)
    await store.complete_upload(KEY, upload, [part])
    assert await read(store, KEY) in [filled(PART, mark) for mark in range(8)]
    await other.close()


async def test_uploads_are_in_no_list_of_objects(store: FolderStore) -> None:
    await store.put_part(KEY, await begin(store), 1, b"1")
    assert [info async for info in store.list("")] == []
