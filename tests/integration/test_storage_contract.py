"""What every object store must do, held against the folder and against a real S3 server."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
import msgspec
import pytest
from minio import Minio
from yarl import URL

import storage.folder
import storage.s3
from storage.disposition import attachment
from storage.folder import FolderStore
from storage.ids import new_id
from storage.objects import ObjectNotFound, ObjectStore, ObjectStoreError
from storage.s3 import S3Store
from storage.settings import S3Settings
from storage.signing import UrlRefused

WEBM = "video/webm"
BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "./a",
    "a/.",
    "a b",
    "a\\b",
    "a%2e",
    "ä",
    "a\n",
    "a\0",
    "a" * 513,
]


@dataclass
class Reply:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Served(Protocol):
    """A store and what a browser gets from its URLs."""

    @property
    def store(self) -> ObjectStore: ...

    async def request(self, method: str, url: str, data: bytes = b"", headers: Mapping[str, str] = {}) -> Reply: ...

    def expired_url(self, method: str, key: str) -> str: ...


class ServedFolder:
    """Stands for the program's own serving: `verify` first, then the file."""

    def __init__(self, folder: Path) -> None:
        self.now = time.time()
        self.store = FolderStore(folder, secret=bytes(32), clock=lambda: self.now)

    async def request(self, method: str, url: str, data: bytes = b"", headers: Mapping[str, str] = {}) -> Reply:
        parts = urlsplit(url)
        key, query = unquote(parts.path).removeprefix("/objects/"), dict(parse_qsl(parts.query))
        try:
            self.store.verify(method, key, query, self.now)
        except UrlRefused:
            return Reply(403)
        if method == "PUT":
            await self.store.receive(key, _pieces(data), max_bytes=1 << 20)
            return Reply(200)
        offset, length = _range(headers.get("Range", ""))
        body = b"".join([piece async for piece in self.store.get(key, offset=offset, length=length)])
        disposition = {"Content-Disposition": attachment(query["filename"])} if "filename" in query else {}
        return Reply(206 if "Range" in headers else 200, body, disposition)

    def expired_url(self, method: str, key: str) -> str:
        url = (
            self.store.presign_put(key, expires_s=60, size_bytes=1)
            if method == "PUT"
            else self.store.presign_get(key, expires_s=60)
        )
        self.now += 60
        return url


class ServedS3:
    def __init__(self, settings: S3Settings, http: aiohttp.ClientSession) -> None:
        self.settings = settings
        self.store = S3Store(settings)
        self._http = http

    async def request(self, method: str, url: str, data: bytes = b"", headers: Mapping[str, str] = {}) -> Reply:
        async with self._http.request(method, URL(url, encoded=True), data=data or None, headers=headers) as reply:
            return Reply(reply.status, await reply.read(), reply.headers)

    def expired_url(self, method: str, key: str) -> str:
        client = Minio(
            endpoint=self.settings.endpoint.removeprefix("http://"),
            access_key=self.settings.access_key,
            secret_key=self.settings.secret_key,
            secure=False,
            region=self.settings.region,
        )
        before = datetime.now(UTC) - timedelta(seconds=120)
        name = f"{self.settings.prefix}/{key}"
        life = timedelta(seconds=60)
        return client.get_presigned_url(method, self.settings.bucket, name, expires=life, request_date=before)


@pytest.fixture(params=["folder", "s3"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with AsyncExitStack() as stack:
        made: Served
        if request.param == "folder":
            made = ServedFolder(tmp_path / "objects")
        else:
            settings = msgspec.structs.replace(request.getfixturevalue("s3"), prefix=new_id("t"))
            made = ServedS3(settings, await stack.enter_async_context(aiohttp.ClientSession()))
        await made.store.start()
        stack.push_async_callback(made.store.close)
        yield made


@pytest.fixture
def store(served: Served) -> ObjectStore:
    return served.store


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 7):
        yield data[start : start + 7]


def _range(header: str) -> tuple[int, int | None]:
    if not header:
        return 0, None
    first, _, last = header.removeprefix("bytes=").partition("-")
    return int(first), int(last) - int(first) + 1


async def read(store: ObjectStore, key: str, **range: Any) -> bytes:
    return b"".join([piece async for piece in store.get(key, **range)])


async def keys(store: ObjectStore, prefix: str) -> list[str]:
    return sorted([info.key async for info in store.list(prefix)])


async def test_what_was_put_is_what_one_gets(store: ObjectStore) -> None:
    put = await store.put("sessions/s_1/a.webm", b"every byte", content_type=WEBM)
    assert (put.key, put.size_bytes) == ("sessions/s_1/a.webm", 10)
    assert await read(store, put.key) == b"every byte"
    assert await store.head(put.key) == put


async def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    await store.put("empty", b"", content_type=WEBM)
    assert (await store.head("empty")).size_bytes == 0
    assert await read(store, "empty") == b""
    assert await read(store, "empty", offset=0, length=10) == b""


async def test_putting_again_replaces(store: ObjectStore) -> None:
    first = await store.put("a", b"first", content_type=WEBM)
    second = await store.put("a", b"second!", content_type=WEBM)
    assert first.etag != second.etag
    assert await read(store, "a") == b"second!"


async def test_a_file_of_several_parts_arrives_whole_and_in_pieces_of_a_mebibyte(
    store: ObjectStore, tmp_path: Path
) -> None:
    content = b"".join(hashlib.sha256(number.to_bytes(8)).digest() for number in range(17 * 2**15 + 1))
    assert len(content) > storage.s3.PART_BYTES
    (tmp_path / "file").write_bytes(content)
    info = await store.put_file("big.webm", tmp_path / "file", content_type=WEBM)
    assert info.size_bytes == (await store.head("big.webm")).size_bytes == len(content)
    pieces = [piece async for piece in store.get("big.webm")]
    assert max(map(len, pieces)) <= 1 << 20
    assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(content).digest()
    assert await read(store, "big.webm", offset=16 << 20, length=3 << 19) == content[16 << 20 :][: 3 << 19]


async def test_a_file_that_does_not_exist_is_the_callers_mistake(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await store.put_file("a", tmp_path / "nothing", content_type=WEBM)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, None), (0, 1), (0, 10), (0, 99), (3, None), (3, 4), (9, 1), (9, 99), (4, 0), (99, 0)]
)
async def test_a_range_ends_with_the_object(store: ObjectStore, offset: int, length: int | None) -> None:
    await store.put("digits", b"0123456789", content_type=WEBM)
    end = None if length is None else offset + length
    expected = b"0123456789"[offset:end]
    assert await read(store, "digits", offset=offset, length=length) == expected


@pytest.mark.parametrize(("offset", "length"), [(10, None), (11, 1), (-1, None), (0, -1)])
async def test_a_range_that_begins_behind_the_end_is_refused(
    store: ObjectStore, offset: int, length: int | None
) -> None:
    await store.put("digits", b"0123456789", content_type=WEBM)
    with pytest.raises(ObjectStoreError) as refused:
        await read(store, "digits", offset=offset, length=length)
    assert refused.value.id == "refused"


async def test_a_reader_may_stop_in_the_middle(store: ObjectStore) -> None:
    await store.put("long", bytes(3 << 20), content_type=WEBM)
    for _ in range(10):
        async with aclosing(store.get("long")) as pieces:  # type: ignore[type-var]
            assert await anext(pieces)
    assert (await store.head("long")).size_bytes == 3 << 20


async def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    await store.put("a/b", b"1", content_type=WEBM)
    for key in ("nothing", "a", "a/c", "x/y/z"):
        with pytest.raises(ObjectNotFound):
            await store.head(key)
        with pytest.raises(ObjectNotFound):
            await read(store, key)
        with pytest.raises(ObjectNotFound):
            await read(store, key, length=0)


async def test_deleting_may_be_repeated(store: ObjectStore) -> None:
    await store.put("a/b", b"1", content_type=WEBM)
    await store.put("a/c", b"2", content_type=WEBM)
    for _ in range(2):
        await store.delete("a/b")
    await store.delete("never/there")
    with pytest.raises(ObjectNotFound):
        await store.head("a/b")
    assert await keys(store, "") == ["a/c"]
    await store.delete("a/c")
    await store.put("a/b", b"again", content_type=WEBM)
    assert await read(store, "a/b") == b"again"


async def test_a_prefix_is_a_beginning_of_keys_not_a_folder(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (storage.folder, storage.s3):
        monkeypatch.setattr(module, "LIST_PAGE", 2)
    every = ["a-b", "a.webm", "a/1", "a/2/x", "a/2/y", "a0/1", "ab/1", "b"]
    for key in reversed(every):
        await store.put(key, key.encode(), content_type=WEBM)
    assert await keys(store, "") == every
    assert await keys(store, "a") == every[:-1]
    assert await keys(store, "a/") == ["a/1", "a/2/x", "a/2/y"]
    assert await keys(store, "a/2") == ["a/2/x", "a/2/y"]
    assert await keys(store, "a/2/") == ["a/2/x", "a/2/y"]
    assert await keys(store, "nothing/at/all") == []
    assert [info.size_bytes async for info in store.list("a/2")] == [5, 5]


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: repr(key)[:12])
async def test_a_bad_key_is_refused_by_every_method(store: ObjectStore, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")

    async def presign(method: Any) -> None:
        method(key, expires_s=60)

    for attempt in (
        store.put(key, b"1", content_type=WEBM),
        store.put_file(key, tmp_path / "file", content_type=WEBM),
        read(store, key),
        store.head(key),
        store.delete(key),
        presign(store.presign_get),
        presign(partial(store.presign_put, size_bytes=1)),
    ):
        with pytest.raises(ObjectStoreError) as refused:
            await attempt
        assert refused.value.id == "refused"


@pytest.mark.parametrize("prefix", ["/", "../", "a/../b", "./", "a//", "ä"])
async def test_a_bad_prefix_is_refused(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(ObjectStoreError) as refused:
        await keys(store, prefix)
    assert refused.value.id == "refused"


async def test_many_at_once_all_arrive(store: ObjectStore) -> None:
    await asyncio.gather(*(store.put(f"many/{n:02}", b"x" * n, content_type=WEBM) for n in range(40)))
    assert sorted([info.size_bytes async for info in store.list("many/")]) == list(range(40))


async def test_a_signed_url_gets_the_object_or_a_range_of_it(served: Served) -> None:
    await served.store.put("a/b.webm", b"0123456789", content_type=WEBM)
    url = served.store.presign_get("a/b.webm", expires_s=60)
    assert await _status_and_body(served, "GET", url) == (200, b"0123456789")
    assert await _status_and_body(served, "GET", url, {"Range": "bytes=2-4"}) == (206, b"234")


async def test_a_download_has_the_name_that_was_signed(served: Served) -> None:
    await served.store.put("a/b.webm", b"1", content_type=WEBM)
    url = served.store.presign_get("a/b.webm", expires_s=60, filename='Zoë & "co"; 100%.webm')
    reply = await served.request("GET", url)
    assert reply.status == 200
    expected = "filename*=UTF-8''Zo%C3%AB%20%26%20_co_%3B%20100%25.webm"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="Zo_ & _co_; 100_.webm"; {expected}'


async def test_a_signed_url_puts_the_object_as_often_as_one_likes(served: Served) -> None:
    url = served.store.presign_put("a/chunk", expires_s=60, size_bytes=5)
    for content in (b"first", b"again"):
        assert (await served.request("PUT", url, content)).status == 200
        assert await read(served.store, "a/chunk") == content


async def test_a_url_is_good_for_one_method_and_one_key(served: Served) -> None:
    await served.store.put("a", b"1", content_type=WEBM)
    await served.store.put("b", b"2", content_type=WEBM)
    get, put = served.store.presign_get("a", expires_s=60), served.store.presign_put("a", expires_s=60, size_bytes=1)
    assert (await served.request("PUT", get, b"x")).status == 403
    assert (await served.request("GET", put)).status == 403
    assert (await served.request("GET", get.replace("/a?", "/b?"))).status == 403
    assert (await served.request("PUT", put.replace("/a?", "/b?"), b"x")).status == 403
    assert [await read(served.store, key) for key in "ab"] == [b"1", b"2"]


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_forged_or_expired_url_is_refused(served: Served, method: str) -> None:
    await served.store.put("a", b"1", content_type=WEBM)
    presign = served.store.presign_get if method == "GET" else partial(served.store.presign_put, size_bytes=1)
    good = presign("a", expires_s=60)
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert (await served.request(method, forged, b"x" * (method == "PUT"))).status == 403
    assert (await served.request(method, good, b"1" * (method == "PUT"))).status == 200
    expired = served.expired_url(method, "a")
    assert (await served.request(method, expired, b"x" * (method == "PUT"))).status == 403
    assert await read(served.store, "a") == b"1"


async def _status_and_body(served: Served, method: str, url: str, headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
    reply = await served.request(method, url, headers=headers)
    return reply.status, reply.body
