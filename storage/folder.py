"""The object store as a plain folder: the object `a/b.webm` is the file `a/b.webm` in it.

Guarantees: an object appears whole or not at all, and is on disk when a method that wrote it returns; a reader that
has begun keeps the content it began with; no key reaches outside of the folder. Several processes may use one folder.

Unlike S3: a key cannot be both an object and the beginning of another key (`refused`), and content types are those of
the suffix. URLs lead to the program itself, which serves them with `verify`, `get` and `receive`.
"""

import asyncio
import itertools
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from storage.files import create_draft, make_folder, prune, publish
from storage.folder_uploads import FolderUploads
from storage.keys import check_key, check_prefix
from storage.objects import ObjectInfo, ObjectNotFound, ObjectStoreError, PartInfo, UploadInfo
from storage.signing import UrlSigner
from storage.signing import load_secret as load_secret

THREADS = 4
"""One disk gains nothing from more; what waits is bounded by the callers, each of which waits for its own call."""

PIECE_BYTES = 1 << 20
"""Of the contract: `get` yields no more at once."""

LIST_PAGE = 1000
"""Keys read from the disk at once."""

INCOMING = "+incoming"
"""Where drafts and uploads are; `+` cannot be in a key."""

DRAFT_LIFE_S = 24 * 3600.0
"""An older draft is of a process that died: no single object takes that long to write."""

CONTENT_TYPES = {".webm": "video/webm", ".mkv": "video/x-matroska", ".json": "application/json"}

P = ParamSpec("P")
T = TypeVar("T")


class FolderStore:
    def __init__(
        self, folder: Path, *, secret: bytes, base_url: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        """`secret`: see `load_secret`; `base_url`: where the program serves `/objects/`; `clock`: Unix seconds."""
        self._root = folder.absolute()
        self._incoming = self._root / INCOMING
        self._uploads = FolderUploads(self._incoming, self._publish)
        self._signer = UrlSigner(secret, base_url)
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="folder-store")

    async def start(self) -> None:
        await self._run(self._prepare)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    async def put(self, key: str, data: bytes, *, content_type: str) -> ObjectInfo:
        return await self._run(self._write, check_key(key), lambda file: file.write(data))

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectInfo:
        """Raises OSError if `path` cannot be read."""
        check_key(key)
        with await asyncio.to_thread(path.open, "rb") as source:
            return await self._run(self._write, key, lambda file: shutil.copyfileobj(source, file, PIECE_BYTES))

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if offset < 0 or (length is not None and length < 0):
            raise ObjectStoreError("refused", "a range cannot be negative")
        file = await self._run(self._open, key, 0 if length == 0 else offset)
        try:
            left = length
            while left is None or left > 0:
                piece = await self._run(file.read, PIECE_BYTES if left is None else min(left, PIECE_BYTES))
                if not piece:
                    return
                if left is not None:
                    left -= len(piece)
                yield piece
        finally:
            await self._run(file.close)

    async def head(self, key: str) -> ObjectInfo:
        return await self._run(self._info, check_key(key))

    async def delete(self, key: str) -> None:
        await self._run(self._delete, key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        found = self._walk(*self._split(check_prefix(prefix)))
        while page := await self._run(lambda: [*itertools.islice(found, LIST_PAGE)]):
            for info in page:
                yield info

    async def begin_upload(self, key: str, *, part_bytes: int, content_type: str) -> str:
        return await self._run(self._uploads.begin, check_key(key), part_bytes, self._clock())

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> PartInfo:
        return await self._run(self._uploads.put, check_key(key), upload_id, number, data)

    async def parts(self, key: str, upload_id: str) -> Sequence[PartInfo]:
        return await self._run(self._uploads.parts, check_key(key), upload_id)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartInfo]) -> ObjectInfo:
        return await self._run(self._uploads.complete, check_key(key), upload_id, parts)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await self._run(self._uploads.abort, check_key(key), upload_id)

    async def uploads(self, prefix: str) -> AsyncIterator[UploadInfo]:
        found = self._uploads.all(check_prefix(prefix))
        while page := await self._run(lambda: [*itertools.islice(found, LIST_PAGE)]):
            for upload in page:
                yield upload

    def presign_get(self, key: str, *, expires_s: int, filename: str = "") -> str:
        expires = int(self._clock()) + expires_s
        return self._signer.sign("GET", check_key(key), expires=expires, filename=filename)

    def presign_put(self, key: str, *, expires_s: int, size_bytes: int) -> str:
        expires = int(self._clock()) + expires_s
        return self._signer.sign("PUT", check_key(key), expires=expires, size_bytes=size_bytes)

    @property
    def browser_origin(self) -> str:
        return ""

    def verify(self, method: str, key: str, query: Mapping[str, str], now: float) -> None:
        """Raises UrlRefused (an ObjectStoreError) unless this request was signed and has not expired."""
        self._signer.verify(method, check_key(key), query, now)

    def path_of(self, key: str) -> Path:
        """Where the object is, or would be. For reading: only this class writes there."""
        return self._root / check_key(key)

    @staticmethod
    def content_type_of(key: str) -> str:
        return CONTENT_TYPES.get(Path(key).suffix, "application/octet-stream")

    async def receive(self, key: str, pieces: AsyncIterator[bytes], *, max_bytes: int) -> ObjectInfo:
        """Write an object as it comes in. If `pieces` raises, or there are more than `max_bytes`, nothing is kept.

        Raises: ObjectStoreError `refused` if it is too long.
        """
        check_key(key)
        draft = await self._run(create_draft, self._incoming)
        try:
            size = 0
            async for piece in pieces:
                size += len(piece)
                if size > max_bytes:
                    raise ObjectStoreError("refused", f"the object is longer than {max_bytes} bytes")
                await self._run(draft.write, piece)
            return await self._run(self._publish_open, draft, key)
        finally:
            await self._run(self._discard, draft)

    # What follows blocks and runs in a thread.

    def _prepare(self) -> None:
        make_folder(self._incoming)
        too_old = self._clock() - DRAFT_LIFE_S
        for draft in self._incoming.iterdir():
            if draft.is_file() and draft.stat().st_mtime < too_old:
                draft.unlink(missing_ok=True)
        self._uploads.sweep(too_old)

    def _write(self, key: str, fill: Callable[[BinaryIO], object]) -> ObjectInfo:
        draft = create_draft(self._incoming)
        try:
            fill(draft)
            return self._publish_open(draft, key)
        finally:
            self._discard(draft)

    def _publish_open(self, draft: BinaryIO, key: str) -> ObjectInfo:
        draft.flush()
        return self._publish(Path(draft.name), key)

    def _publish(self, draft: Path, key: str) -> ObjectInfo:
        status = draft.stat()
        try:
            publish(draft, self._root / key)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise ObjectStoreError("refused", f"{key} is in the way of another key") from error
        return _info(key, status)

    @staticmethod
    def _discard(draft: BinaryIO) -> None:
        draft.close()
        Path(draft.name).unlink(missing_ok=True)

    def _open(self, key: str, offset: int) -> BinaryIO:
        try:
            file = self.path_of(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ObjectNotFound(key) from error
        if offset and offset >= os.fstat(file.fileno()).st_size:
            file.close()
            raise ObjectStoreError("refused", f"{key} ends before byte {offset}")
        file.seek(offset)
        return file

    def _info(self, key: str) -> ObjectInfo:
        path = self.path_of(key)
        if not path.is_file():
            raise ObjectNotFound(key)
        return _info(key, path.stat())

    def _delete(self, key: str) -> None:
        path = self.path_of(key)
        if path.is_file():
            path.unlink(missing_ok=True)
            prune(path.parent, self._root)

    def _split(self, prefix: str) -> tuple[str, str]:
        """The folder all keys with this prefix are in (empty or ending in `/`), and how names in it begin."""
        folder, slash, name = prefix.rpartition("/")
        return folder + slash, name

    def _walk(self, folder: str, begin: str = "") -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self._root / folder) as entries:
                named = [entry for entry in entries if entry.name.startswith(begin) and entry.name != INCOMING]
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in sorted(named, key=lambda entry: entry.name):
            key = folder + entry.name
            if entry.is_dir():
                yield from self._walk(key + "/")
                continue
            try:
                yield self._info(key)
            except ObjectNotFound:
                continue  # deleted meanwhile

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))
        except OSError as error:
            raise ObjectStoreError("unavailable", f"the data folder failed: {error.strerror or error}") from error


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, size_bytes=status.st_size, etag=f"{status.st_mtime_ns:x}-{status.st_size:x}")
