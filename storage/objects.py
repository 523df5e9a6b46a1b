"""The object store as the rest of the program sees it: blobs by key, in a folder or in S3 (docs/decisions)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec


class ObjectInfo(msgspec.Struct, frozen=True):
    key: str
    size_bytes: int
    etag: str = ""


class ObjectStoreError(Exception):
    """The store did not do what was asked, and may later: `id` is stable (`unavailable`, `refused`, `corrupt`)."""

    def __init__(self, id: str, detail: str) -> None:
        super().__init__(detail)
        self.id = id
        self.detail = detail


class ObjectNotFound(ObjectStoreError):
    def __init__(self, key: str) -> None:
        super().__init__("not_found", f"no object {key}")


class ObjectStore(Protocol):
    """Keys: 1..512 characters of `a-zA-Z0-9._-` in segments divided by `/`; no segment is empty, `.`, `..` or
    longer than 255. Another key is `refused`.

    Every method raises ObjectStoreError when the store fails and ObjectNotFound where a key must exist.
    """

    async def start(self) -> None:
        """Make the bucket or folder ready."""

    async def close(self) -> None: ...

    async def put(self, key: str, data: bytes, *, content_type: str) -> ObjectInfo: ...

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectInfo:
        """Upload a whole file; durable when it returns."""

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the object, or a range of it, in pieces of at most 1 MiB.

        A range ends with the object at the latest; one that begins behind its end, or is negative, is `refused`.
        """

    async def head(self, key: str) -> ObjectInfo: ...

    async def delete(self, key: str) -> None:
        """Idempotent."""

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every key that begins so (a prefix is no folder and may end anywhere), in an order of the store's own."""

    def presign_get(self, key: str, *, expires_s: int, filename: str = "") -> str:
        """URL for one GET (ranges allowed); `filename`: served as an attachment of that name, else inline."""

    def presign_put(self, key: str, *, expires_s: int, size_bytes: int) -> str:
        """URL for one PUT of this key with so many bytes; sending it again replaces the object.

        A folder takes no other size. S3 takes any (a signed URL cannot bind it): whoever relies on it must look.
        """

    @property
    def browser_origin(self) -> str:
        """Origin that pages must be allowed to reach (CSP); empty: the program's own."""
