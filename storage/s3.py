"""The object store in S3 or what speaks its language (MinIO, SeaweedFS, ...): one bucket, keys below a prefix.

The `minio` client blocks, so each request takes one of SLOTS threads and no longer than `timeout_s` without progress;
whoever finds no thread free within `timeout_s` is told `unavailable`. A request that meets a connection which the
server closed is sent once more at once (all of ours may be repeated); every other retry is the caller's.

URLs are signed for `public_endpoint`, as SigV4 signs the host; signing needs no network because the region is given.
"""

import asyncio
import io
import itertools
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError, ProtocolError

from storage.disposition import attachment
from storage.keys import check_key, check_prefix
from storage.multipart import check_part, check_part_bytes, check_parts
from storage.objects import ObjectInfo, ObjectNotFound, ObjectStoreError, PartInfo, UploadInfo, UploadNotFound
from storage.s3_uploads import S3Uploads
from storage.settings import S3Settings

SLOTS = 8
"""Requests at once, threads and kept connections."""

CONNECT_TIMEOUT_S = 5.0
"""A store that takes longer to accept a connection is down; below `timeout_s` if that is shorter."""

PIECE_BYTES = 1 << 20
"""Of the contract: `get` yields no more at once."""

PART_BYTES = 16 << 20
"""Of a multipart upload: in memory while it is sent. S3 allows 10,000 parts, so files of up to 156 GiB."""

LIST_PAGE = 1000
"""Keys fetched at once; also S3's own limit."""

T = TypeVar("T")


class S3Store:
    def __init__(self, settings: S3Settings) -> None:
        """Reaches nothing yet. Raises ValueError for an endpoint that is none."""
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, settings.timeout_s), read=settings.timeout_s),
            maxsize=SLOTS,
            retries=False,
        )
        self._pool = pool
        self._client = _client(settings.endpoint, settings, pool)
        self._signer = _client(settings.public_endpoint or settings.endpoint, settings, pool)
        self._bucket = settings.bucket
        self._uploads = S3Uploads(self._client, settings.bucket)
        self._prefix = f"{check_key(settings.prefix.strip('/'))}/" if settings.prefix.strip("/") else ""
        self._timeout_s = settings.timeout_s
        self._slots = asyncio.Semaphore(SLOTS)
        self._threads = ThreadPoolExecutor(SLOTS, thread_name_prefix="s3-store")

    async def start(self) -> None:
        """Raises ObjectStoreError if the store cannot be reached, or refuses the bucket or the access key."""
        await self._run(self._make_bucket)

    async def close(self) -> None:
        """Lets requests that run end."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._pool.clear()

    async def put(self, key: str, data: bytes, *, content_type: str) -> ObjectInfo:
        name = self._name(key)
        return await self._run(lambda: self._send(key, name, io.BytesIO(data), len(data), content_type), key)

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectInfo:
        """Raises OSError if `path` cannot be read."""
        name = self._name(key)

        def send() -> ObjectInfo:
            with path.open("rb") as file:
                return self._send(key, name, file, os.fstat(file.fileno()).st_size, content_type)

        return await self._run(send, key)

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        name = self._name(key)
        if offset < 0 or (length is not None and length < 0):
            raise ObjectStoreError("refused", "a range cannot be negative")
        if length == 0 or (length is not None and offset == 0):  # S3 has no ranges of nothing
            size = (await self.head(key)).size_bytes
            if 0 in (length, size):
                return
        body = await self._run(lambda: _Body(self._client, self._bucket, name, offset, length or 0), key)
        try:
            while piece := await self._run(body.read, key, repeat=False):
                yield piece
        finally:
            await self._run(body.close, key)

    async def head(self, key: str) -> ObjectInfo:
        name = self._name(key)
        found = await self._run(lambda: self._client.stat_object(self._bucket, name), key)
        return ObjectInfo(key=key, size_bytes=found.size or 0, etag=found.etag or "")

    async def delete(self, key: str) -> None:
        name = self._name(key)
        try:
            await self._run(lambda: self._client.remove_object(self._bucket, name), key)
        except ObjectNotFound:
            pass

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        begin = self._prefix + check_prefix(prefix)
        found = self._client.list_objects(self._bucket, prefix=begin, recursive=True)
        while page := await self._run(lambda: [*itertools.islice(found, LIST_PAGE)], repeat=False):
            for item in page:
                key = (item.object_name or "").removeprefix(self._prefix)
                yield ObjectInfo(key=key, size_bytes=item.size or 0, etag=item.etag or "")

    async def begin_upload(self, key: str, *, part_bytes: int, content_type: str) -> str:
        name = self._name(key)
        check_part_bytes(part_bytes)
        return await self._run(lambda: self._uploads.begin(name, content_type), key)

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> PartInfo:
        """The size of a part is compared with the others' when the upload is completed: S3 keeps no size for it."""
        name = self._name(key)
        check_part(number, len(data))
        return await self._run(lambda: self._uploads.put(name, upload_id, number, data), key)

    async def parts(self, key: str, upload_id: str) -> Sequence[PartInfo]:
        name = self._name(key)
        return await self._run(lambda: self._uploads.parts(name, upload_id), key)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartInfo]) -> ObjectInfo:
        name = self._name(key)
        size_bytes = check_parts(parts)
        etag = await self._run(lambda: self._uploads.complete(name, upload_id, parts), key)
        return ObjectInfo(key=key, size_bytes=size_bytes, etag=etag)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        name = self._name(key)
        try:
            await self._run(lambda: self._uploads.abort(name, upload_id), key)
        except UploadNotFound:
            pass

    async def uploads(self, prefix: str) -> AsyncIterator[UploadInfo]:
        pages = self._uploads.pages(self._prefix + check_prefix(prefix))
        while (page := await self._run(lambda: next(pages, None), repeat=False)) is not None:
            for upload in page:
                yield UploadInfo(upload.key.removeprefix(self._prefix), upload.upload_id, upload.begun_s)

    def presign_get(self, key: str, *, expires_s: int, filename: str = "") -> str:
        headers: dict[str, str | list[str] | tuple[str]] = {}
        if filename:
            headers["response-content-disposition"] = attachment(filename)
        life = timedelta(seconds=expires_s)
        return self._signer.presigned_get_object(self._bucket, self._name(key), expires=life, response_headers=headers)

    def presign_put(self, key: str, *, expires_s: int, size_bytes: int) -> str:
        """`size_bytes` is not bound: captures are compared when they are confirmed."""
        return self._signer.presigned_put_object(self._bucket, self._name(key), expires=timedelta(seconds=expires_s))

    @property
    def browser_origin(self) -> str:
        """Taken from a URL, as the client may put the bucket's name into the host."""
        url = urlsplit(self.presign_put("origin", expires_s=1, size_bytes=0))
        return f"{url.scheme}://{url.netloc}"

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    # What follows blocks and runs in a thread.

    def _make_bucket(self) -> None:
        if self._client.bucket_exists(self._bucket):
            return
        try:
            self._client.make_bucket(self._bucket)
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def _send(self, key: str, name: str, data: BinaryIO, size: int, content_type: str) -> ObjectInfo:
        sent = self._client.put_object(
            self._bucket, name, data, size, content_type, part_size=PART_BYTES, num_parallel_uploads=1
        )
        return ObjectInfo(key=key, size_bytes=size, etag=sent.etag or "")

    async def _run(self, work: Callable[[], T], key: str = "", *, repeat: bool = True) -> T:
        """`repeat`: `work` may be done again when the connection broke."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise ObjectStoreError("unavailable", "every connection to the object store is busy") from None
        call = asyncio.get_running_loop().run_in_executor(self._threads, _attempt, work, key, repeat)
        call.add_done_callback(self._free_slot)
        return await asyncio.shield(call)  # who is cancelled leaves; the thread keeps its slot until it is done

    def _free_slot(self, call: asyncio.Future[Any]) -> None:
        self._slots.release()
        if not call.cancelled():
            call.exception()  # seen, also when nobody waits any more


class _Body:
    """An object as it comes in. Reading and closing exclude each other: a reader that was cancelled may still read."""

    def __init__(self, client: Minio, bucket: str, name: str, offset: int, length: int) -> None:
        self._response = client.get_object(bucket, name, offset=offset, length=length)
        self._lock = threading.Lock()

    def read(self) -> bytes:
        with self._lock:
            return self._response.read(PIECE_BYTES)

    def close(self) -> None:
        with self._lock:
            self._response.close()
            self._response.release_conn()


def _client(endpoint: str, settings: S3Settings, pool: urllib3.PoolManager) -> Minio:
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query or url.username:
        raise ValueError(f"{endpoint!r} is no endpoint: it must look like https://host:port")
    if not settings.access_key or not settings.secret_key:
        raise ValueError("an S3 store needs access_key and secret_key")
    return Minio(
        endpoint=url.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=url.scheme == "https",
        region=settings.region or "us-east-1",
        http_client=pool,
    )


def _attempt(work: Callable[[], T], key: str, repeat: bool) -> T:
    try:
        try:
            return work()
        except ProtocolError:
            if not repeat:
                raise
            return work()
    except (MinioException, HTTPError) as error:
        raise _translated(error, key) from error


def _translated(error: MinioException | HTTPError, key: str) -> ObjectStoreError:
    if not isinstance(error, S3Error):
        return ObjectStoreError("unavailable", f"the object store did not answer: {type(error).__name__}")
    if error.code in ("NoSuchKey", "NoSuchObject"):
        return ObjectNotFound(key)
    if error.code == "NoSuchUpload":
        return UploadNotFound(key)
    if error.code in ("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"):
        return ObjectStoreError("corrupt", f"the object store received other bytes than were sent ({error.code})")
    if error.response.status >= 500 or error.code in ("SlowDown", "RequestTimeout"):
        return ObjectStoreError("unavailable", f"the object store failed ({error.code})")
    return ObjectStoreError("refused", f"the object store refused ({error.code})")
