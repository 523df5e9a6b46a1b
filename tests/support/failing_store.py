"""A real folder store that fails as a test wants it: before it did what was asked, or after: the answer is lost."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from storage.folder import FolderStore
from storage.objects import ObjectInfo, ObjectStoreError, PartInfo, UploadInfo

Result = TypeVar("Result")


class FailingStore:
    """Has of an object store what a delivery needs. `done` counts what came to pass, by method, and parts by number."""

    def __init__(self, folder: Path) -> None:
        self.inner = FolderStore(folder, secret=bytes(32))
        self.done: Counter[str] = Counter()
        self.parts_put: Counter[int] = Counter()
        self.fails: Callable[[str], str] = lambda method: ""
        """Asked before each call: `before`, `after`, `refused` (403 of S3) or empty (it works)."""

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectInfo:
        return await self._do("put_file", lambda: self.inner.put_file(key, path, content_type=content_type))

    async def put(self, key: str, data: bytes, *, content_type: str) -> ObjectInfo:
        return await self._do("put", lambda: self.inner.put(key, data, content_type=content_type))

    async def delete(self, key: str) -> None:
        await self._do("delete", lambda: self.inner.delete(key))

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        return self.inner.list(prefix)

    async def head(self, key: str) -> ObjectInfo:
        return await self._do("head", lambda: self.inner.head(key))

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if self.fails("get"):
            raise ObjectStoreError("unavailable", "get fails")
        async for piece in self.inner.get(key, offset=offset, length=length):
            yield piece

    async def begin_upload(self, key: str, *, part_bytes: int, content_type: str) -> str:
        return await self._do(
            "begin_upload", lambda: self.inner.begin_upload(key, part_bytes=part_bytes, content_type=content_type)
        )

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> PartInfo:
        async def put() -> PartInfo:
            part = await self.inner.put_part(key, upload_id, number, data)
            self.parts_put[number] += 1
            return part

        return await self._do("put_part", put)

    async def parts(self, key: str, upload_id: str) -> Sequence[PartInfo]:
        return await self._do("parts", lambda: self.inner.parts(key, upload_id))

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartInfo]) -> ObjectInfo:
        return await self._do("complete_upload", lambda: self.inner.complete_upload(key, upload_id, parts))

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await self._do("abort_upload", lambda: self.inner.abort_upload(key, upload_id))

    def uploads(self, prefix: str) -> AsyncIterator[UploadInfo]:
        return self.inner.uploads(prefix)

    async def _do(self, method: str, work: Callable[[], Awaitable[Result]]) -> Result:
        fails = self.fails(method)
        if fails == "refused":
            raise ObjectStoreError("refused", f"{method} is refused")
        if fails == "before":
            raise ObjectStoreError("unavailable", f"{method} fails")
        result = await work()
        self.done[method] += 1
        if fails == "after":
            raise ObjectStoreError("unavailable", f"the answer of {method} is lost")
        return result
