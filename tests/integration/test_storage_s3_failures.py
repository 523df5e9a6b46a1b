"""The S3 store when the server is away, silent, broken or unwilling: a typed error, in time, nothing left hanging."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from storage.multipart import MIN_PART_BYTES
from storage.objects import ObjectNotFound, ObjectStoreError, PartInfo
from storage.s3 import SLOTS, S3Store
from storage.settings import S3Settings
from tests.support.cut_line import CutLine, serving

HEAD = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nLast-Modified: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 10\r\n\r\n'
TIMEOUT_S = 0.5
SLACK_S = 1.0
"""A loaded machine may add this."""


@asynccontextmanager
async def store_at(endpoint: str, **settings: object) -> AsyncIterator[S3Store]:
    made = S3Settings(endpoint=endpoint, access_key="key", secret_key="secret", timeout_s=TIMEOUT_S)
    store = S3Store(msgspec.structs.replace(made, **settings))
    yield store
    await store.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _expect(error_id: str, attempt: Awaitable[object]) -> ObjectStoreError:
    with pytest.raises(ObjectStoreError) as raised:
        await attempt
    assert raised.value.id == error_id
    return raised.value


async def _read(store: S3Store, key: str) -> bytes:
    return b"".join([piece async for piece in store.get(key)])


def _every_method(store: S3Store) -> list[Awaitable[object]]:
    async def listed() -> list[object]:
        return [info async for info in store.list("")]

    async def uploads() -> list[object]:
        return [upload async for upload in store.uploads("")]

    put = store.put("a", b"1", content_type="video/webm")
    begin = store.begin_upload("a", part_bytes=MIN_PART_BYTES, content_type="video/webm")
    part, end = store.put_part("a", "id", 1, b"1"), store.complete_upload("a", "id", [PartInfo(1, 1, "e")])
    of_parts = [begin, part, store.parts("a", "id"), end, store.abort_upload("a", "id"), uploads()]
    return [store.start(), put, store.head("a"), store.delete("a"), _read(store, "a"), listed(), *of_parts]


async def test_nobody_listening_is_unavailable_at_once() -> None:
    with socket.socket() as held:  # bound, so that nobody else can listen there, and not listening
        held.bind(("127.0.0.1", 0))
        async with store_at(f"http://127.0.0.1:{held.getsockname()[1]}") as store:
            began = time.monotonic()
            for attempt in _every_method(store):
                await _expect("unavailable", attempt)
            assert time.monotonic() - began < SLACK_S


async def test_a_server_that_never_answers_is_unavailable_within_the_timeout() -> None:
    async with serving(silent) as endpoint, store_at(endpoint) as store:
        began = time.monotonic()
        await asyncio.gather(*(_expect("unavailable", attempt) for attempt in _every_method(store)))
        assert TIMEOUT_S <= time.monotonic() - began < TIMEOUT_S + SLACK_S


async def test_who_finds_every_slot_taken_is_told_within_the_timeout() -> None:
    async with serving(silent) as endpoint, store_at(endpoint) as store:
        began = time.monotonic()
        heads = [asyncio.create_task(_expect("unavailable", store.head("a"))) for _ in range(SLOTS + 4)]
        await asyncio.gather(*heads)
        assert time.monotonic() - began < 2 * TIMEOUT_S + SLACK_S


async def test_cancelled_requests_give_their_slots_back() -> None:
    arrived = asyncio.Semaphore(0)

    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.release()
        await reader.read()

    async with serving(counts) as endpoint, store_at(endpoint) as store:
        heads = [asyncio.create_task(store.head("a")) for _ in range(SLOTS)]
        for _ in heads:
            await arrived.acquire()
        for head in heads:
            head.cancel()
        ends = await asyncio.gather(*heads, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        await _expect("unavailable", store.head("a"))
        assert not arrived.locked()  # it was sent: it had a slot of its own


async def test_a_connection_that_the_server_closed_meanwhile_is_not_noticed() -> None:
    connections = 0

    async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await reader.readuntil(b"\r\n\r\n")  # the next request on the kept connection gets no answer but its end

    async with serving(answers_once) as endpoint, store_at(endpoint) as store:
        for _ in range(3):
            assert (await store.head("a")).size_bytes == 10
        assert connections == 3


async def test_an_object_cut_short_is_unavailable_and_not_just_shorter() -> None:
    async def cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"only")
        await writer.drain()

    async with serving(cuts) as endpoint, store_at(endpoint) as store:
        await _expect("unavailable", _read(store, "a"))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("kind", ["application/xml", "text/html"])
async def test_a_failing_server_is_unavailable(status: int, kind: str) -> None:
    body = b"<Error><Code>InternalError</Code><Message>x</Message></Error>" if "xml" in kind else b"<html>"

    async def fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} Broken\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head + body * (not request.startswith(b"HEAD")))
        await writer.drain()

    async with serving(fails) as endpoint, store_at(endpoint) as store:
        for attempt in _every_method(store):
            await _expect("unavailable", attempt)


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(elsewhere) as endpoint, store_at(endpoint) as store:
        with pytest.raises(ObjectStoreError):
            await _read(store, "a")
        assert len(asked) == 1


async def test_a_wrong_secret_is_refused_and_not_in_the_error(s3: S3Settings) -> None:
    wrong = msgspec.structs.replace(s3, secret_key="wrong-and-still-secret")
    store = S3Store(wrong)
    error = await _expect("refused", store.put("a", b"1", content_type="video/webm"))
    assert "secret" not in repr(error)
    await store.close()


async def test_starting_twice_makes_one_bucket(s3: S3Settings) -> None:
    stores = [S3Store(msgspec.structs.replace(s3, bucket="made-by-two")) for _ in range(2)]
    await asyncio.gather(*(store.start() for store in stores))
    await stores[0].put("a", b"1", content_type="video/webm")
    assert await _read(stores[1], "a") == b"1"
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_store_that_is_gone_in_the_middle_of_a_part_has_lost_that_part_and_no_other(s3: S3Settings) -> None:
    line = CutLine(s3.endpoint)
    first, end = b"1" * MIN_PART_BYTES, b"2" * MIN_PART_BYTES
    async with serving(line) as endpoint:
        store = S3Store(msgspec.structs.replace(s3, endpoint=endpoint, prefix="cut"))
        await store.start()
        upload = await store.begin_upload("a", part_bytes=MIN_PART_BYTES, content_type="video/webm")
        parts = [await store.put_part("a", upload, 1, first)]
        line.after_bytes, line.cuts = 1 << 20, 2  # what broke is sent once more at once
        await _expect("unavailable", store.put_part("a", upload, 2, end))
        assert line.cuts == 0
        assert await store.parts("a", upload) == parts
        parts.append(await store.put_part("a", upload, 2, end))
        await store.complete_upload("a", upload, parts)
        assert await _read(store, "a") == first + end
        assert [each async for each in store.uploads("")] == []
        await store.close()


async def test_a_part_whose_connection_broke_is_sent_once_more_and_is_there_once(s3: S3Settings) -> None:
    line = CutLine(s3.endpoint)
    async with serving(line) as endpoint:
        store = S3Store(msgspec.structs.replace(s3, endpoint=endpoint, prefix="again"))
        await store.start()
        upload = await store.begin_upload("a", part_bytes=MIN_PART_BYTES, content_type="video/webm")
        line.after_bytes, line.cuts = 1 << 20, 1
        part = await store.put_part("a", upload, 1, b"1" * MIN_PART_BYTES)
        assert line.cuts == 0
        assert await store.parts("a", upload) == [part]
        await store.abort_upload("a", upload)
        await store.close()


async def test_two_prefixes_in_one_bucket_see_nothing_of_each_other(s3: S3Settings) -> None:
    one, other = (S3Store(msgspec.structs.replace(s3, prefix=prefix)) for prefix in ("studios/one/", "studios/other"))
    await one.start()
    await one.put("a", b"1", content_type="video/webm")
    with pytest.raises(ObjectNotFound):
        await other.head("a")
    assert [info async for info in other.list("")] == []
    assert [info.key async for info in one.list("")] == ["a"]
    upload = await one.begin_upload("b", part_bytes=MIN_PART_BYTES, content_type="video/webm")
    assert [each async for each in other.uploads("")] == []
    assert [(each.key, each.upload_id) async for each in one.uploads("b")] == [("b", upload)]
    await one.abort_upload("b", upload)
    await asyncio.gather(one.close(), other.close())


async def test_urls_are_signed_for_the_address_that_browsers_use(s3: S3Settings) -> None:
    public = s3.endpoint.replace("127.0.0.1", "localhost")
    store = S3Store(msgspec.structs.replace(s3, public_endpoint=public))
    await store.start()
    await store.put("for-pages", b"1", content_type="video/webm")
    url = store.presign_get("for-pages", expires_s=60)
    assert store.browser_origin == public
    assert url.startswith(f"{public}/stemroom/for-pages?")
    connector = aiohttp.TCPConnector(resolver=_Loopback())
    async with aiohttp.ClientSession(connector=connector) as http, http.get(url) as reply:
        assert (reply.status, reply.content_type, await reply.read()) == (200, "video/webm", b"1")
    await store.close()


async def test_a_page_of_another_origin_may_put(s3: S3Settings) -> None:
    """What Chromium asks before it sends a presigned PUT of ours."""
    store = S3Store(s3)
    await store.start()
    asks = {"Origin": "http://localhost:8080", "Access-Control-Request-Method": "PUT"}
    url = store.presign_put("from-a-page", expires_s=60, size_bytes=1)
    async with aiohttp.ClientSession() as http:
        async with http.options(url, headers=asks) as reply:
            assert reply.status == 200
            assert reply.headers["Access-Control-Allow-Origin"] in ("*", asks["Origin"])
            assert "PUT" in reply.headers["Access-Control-Allow-Methods"]
        async with http.put(url, data=b"1", headers={"Origin": asks["Origin"]}) as reply:
            assert reply.status == 200
            assert reply.headers["Access-Control-Allow-Origin"] in ("*", asks["Origin"])
    await store.close()


@pytest.mark.parametrize(
    "endpoint", ["", "127.0.0.1:9000", "ftp://host", "http://", "http://host/path", "http://u:p@host"]
)
def test_an_endpoint_that_is_none_is_named(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        S3Store(S3Settings(endpoint=endpoint, access_key="key", secret_key="secret"))


def test_a_store_without_keys_cannot_sign() -> None:
    with pytest.raises(ValueError, match="access_key"):
        S3Store(S3Settings(endpoint="http://host"))


def test_a_bucket_in_the_host_name_is_part_of_the_origin() -> None:
    store = S3Store(
        S3Settings(
            endpoint="https://s3.eu-central-1.amazonaws.com", region="eu-central-1", access_key="k", secret_key="s"
        )
    )
    assert urlsplit(store.presign_put("a", expires_s=60, size_bytes=1)).netloc == urlsplit(store.browser_origin).netloc
    assert store.browser_origin == "https://stemroom.s3.eu-central-1.amazonaws.com"


class _Loopback(aiohttp.abc.AbstractResolver):
    """`localhost` is 127.0.0.1, whatever the machine's files say."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        flags = socket.AI_NUMERICHOST
        return [
            {"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": flags}
        ]

    async def close(self) -> None: ...
