"""What the folder store does beyond the contract: whole objects, no debris, typed errors, its part of the serving."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from storage import open_store
from storage.folder import DRAFT_LIFE_S, INCOMING, FolderStore
from storage.objects import ObjectNotFound, ObjectStoreError
from storage.s3 import S3Store
from storage.settings import ObjectStoreSettings, S3Settings


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FolderStore]:
    made = FolderStore(tmp_path / "deep" / "objects", secret=bytes(32))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def root(store: FolderStore) -> Path:
    return store.path_of("x").parent


def drafts(root: Path) -> list[str]:
    return os.listdir(root / INCOMING)


async def put(store: FolderStore, key: str, data: bytes = b"1") -> None:
    await store.put(key, data, content_type="video/webm")


async def pieces(*contents: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for content in contents:
        yield content
    if error is not None:
        raise error


async def test_an_object_is_a_plain_file_of_its_owner(store: FolderStore, root: Path) -> None:
    await put(store, "a/b.webm", b"content")
    assert (root / "a" / "b.webm").read_bytes() == b"content"
    assert stat.S_IMODE((root / "a" / "b.webm").stat().st_mode) == 0o600
    assert drafts(root) == []


async def test_what_comes_in_pieces_appears_when_it_is_whole(store: FolderStore, root: Path) -> None:
    seen = []

    async def watched() -> AsyncIterator[bytes]:
        yield b"one "
        seen.append((root / "a").exists())
        yield b"two"

    info = await store.receive("a", watched(), max_bytes=7)
    assert (seen, info.size_bytes) == ([False], 7)
    assert (root / "a").read_bytes() == b"one two"


async def test_what_is_too_long_leaves_the_old_object_and_no_draft(store: FolderStore, root: Path) -> None:
    await put(store, "a", b"old")
    with pytest.raises(ObjectStoreError, match="longer than 7 bytes") as refused:
        await store.receive("a", pieces(b"12345", b"678"), max_bytes=7)
    assert refused.value.id == "refused"
    assert (root / "a").read_bytes() == b"old"
    assert drafts(root) == []


async def test_a_sender_that_fails_leaves_nothing(store: FolderStore, root: Path) -> None:
    with pytest.raises(ConnectionResetError):
        await store.receive("a", pieces(b"some", error=ConnectionResetError()), max_bytes=100)
    assert not (root / "a").exists()
    assert drafts(root) == []


async def test_a_cancelled_sender_leaves_nothing(store: FolderStore, root: Path) -> None:
    begun = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"some"
        begun.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(store.receive("a", stalls(), max_bytes=100))
    await begun.wait()
    assert len(drafts(root)) == 1
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert drafts(root) == []


async def test_a_reader_keeps_the_content_it_began_with(store: FolderStore) -> None:
    await put(store, "a", b"1" * (1 << 21))
    reading = store.get("a")
    first = await anext(reading)
    await put(store, "a", b"2")
    rest = [piece async for piece in reading]
    assert first + b"".join(rest) == b"1" * (1 << 21)
    await store.delete("a")


async def test_data_is_synced_before_it_has_its_name_and_then_its_folders(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).parent.name)
        fsync(descriptor)

    def noted_replace(draft: Path, target: Path) -> None:
        done.append("name")
        replace(draft, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    await put(store, "new/folder/a")
    # the new folders' entries, the data, the name, the entry of the name; each "sync x" syncs something inside of x
    assert done == [f"sync {INCOMING}", "sync deep", "sync objects", "name", "sync new"]


async def test_an_old_draft_is_swept_and_a_young_one_is_another_process_at_work(store: FolderStore, root: Path) -> None:
    for name, age_s in (("old", DRAFT_LIFE_S + 60), ("young", DRAFT_LIFE_S - 60)):
        (root / INCOMING / name).write_bytes(b"1")
        os.utime(root / INCOMING / name, (time.time() - age_s,) * 2)
    await store.start()
    assert drafts(root) == ["young"]


async def test_drafts_are_in_no_list(store: FolderStore, root: Path) -> None:
    (root / INCOMING / "draft").write_bytes(b"1")
    await put(store, "a")
    assert [info.key async for info in store.list("")] == ["a"]


async def test_a_key_in_the_way_of_another_is_refused(store: FolderStore, root: Path) -> None:
    await put(store, "a/b")
    for key in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(ObjectStoreError) as refused:
            await put(store, key)
        assert refused.value.id == "refused"
        with pytest.raises(ObjectNotFound):
            await store.head(key)
        await store.delete(key)
    assert (await store.head("a/b")).size_bytes == 1
    assert drafts(root) == []


async def test_deleting_leaves_no_empty_folders(store: FolderStore, root: Path) -> None:
    await put(store, "a/b/c")
    await put(store, "a/d")
    await store.delete("a/b/c")
    assert os.listdir(root / "a") == ["d"]
    await store.delete("a/d")
    assert os.listdir(root) == [INCOMING]


async def test_putting_beside_what_is_being_deleted_loses_nothing(store: FolderStore) -> None:
    async def repeat(key: str) -> None:
        for _ in range(50):
            await put(store, key)
            assert (await store.head(key)).size_bytes == 1
            await store.delete(key)

    await asyncio.gather(repeat("a/b/1"), repeat("a/b/2"), repeat("a/3"))
    assert [info async for info in store.list("")] == []


async def test_a_folder_that_is_pruned_while_it_is_made_is_made_again(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another put makes the folder first, and a delete removes it before pathlib looks whether it is one."""
    made = Path.mkdir
    times = iter(range(2))

    def outrun(folder: Path, *arguments: Any, **options: Any) -> None:
        if next(times, None) is not None:
            raise FileExistsError(17, "File exists")
        made(folder, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", outrun)
    await put(store, "a/b/1")
    assert (root / "a/b/1").exists()


async def test_a_failing_disk_is_unavailable(store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ObjectStoreError, match="No space left") as failed:
        await put(store, "a")
    assert failed.value.id == "unavailable"
    assert drafts(root) == []
    assert not (root / "a").exists()


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("a/b.webm", "video/webm"),
        ("a/b.mkv", "video/x-matroska"),
        ("manifest.json", "application/json"),
        ("chunks/000001", "application/octet-stream"),
        ("a.html", "application/octet-stream"),
        ("a.svg", "application/octet-stream"),
    ],
)
def test_content_types_come_from_a_short_list(key: str, content_type: str) -> None:
    assert FolderStore.content_type_of(key) == content_type


async def test_the_default_store_is_a_folder_whose_urls_survive_a_restart(tmp_path: Path) -> None:
    first = open_store(ObjectStoreSettings(), tmp_path)
    again = open_store(ObjectStoreSettings(), tmp_path)
    assert isinstance(first, FolderStore)
    assert isinstance(again, FolderStore)
    query = dict(parse_qsl(urlsplit(first.presign_put("a", expires_s=60, size_bytes=1)).query))
    again.verify("PUT", "a", query, time.time())
    assert first.path_of("a") == again.path_of("a") == tmp_path / "objects" / "a"
    assert first.browser_origin == ""
    await first.close()
    await again.close()


async def test_s3_and_nothing_else_may_be_chosen(tmp_path: Path) -> None:
    s3 = S3Settings(endpoint="http://127.0.0.1:9", access_key="key", secret_key="secret")
    store = open_store(ObjectStoreSettings(kind="s3", s3=s3), tmp_path)
    assert isinstance(store, S3Store)
    await store.close()
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="'ftp'"):
        open_store(ObjectStoreSettings(kind="ftp"), tmp_path)
