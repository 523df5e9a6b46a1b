"""The object store as the rest of the program sees it: blobs by key, in a folder or in S3 (docs/decisions)."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class ObjectInfo(msgspec.Struct, frozen=True):
    key: str
    size_bytes: int
    etag: str = ""


class PartInfo(msgspec.Struct, frozen=True):
    """One part of an upload, as the store has it."""

    number: int
    """1..10,000; parts follow each other in this order."""
    size_bytes: int
    etag: str
    """The store's name for these bytes; another once the part was replaced by other bytes."""


class UploadInfo(msgspec.Struct, frozen=True):
    """An upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    begun_s: float
    """Unix time."""


class ObjectStoreError(Exception):
    """The store did not do what was asked, and may later: `id` is stable (`unavailable`, `refused`, `corrupt`)."""

    def __init__(self, id: str, detail: str) -> None:
        super().__init__(detail)
        self.id = id
        self.detail = detail


class ObjectNotFound(ObjectStoreError):
    def __init__(self, key: str) -> None:
        super().__init__("not_found", f"no object {key}")


class UploadNotFound(ObjectStoreError):
    """It was completed, then the object is there; or it was aborted, or never begun."""

    def __init__(self, key: str) -> None:
        super().__init__("no_upload", f"no such upload of {key}")


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

    async def begin_upload(self, key: str, *, part_bytes: int, content_type: str) -> str:
        """Begin to put an object in parts, and return the id of the upload.

        `part_bytes`: of every part but the last, which may be shorter; 5 MiB..64 MiB, else `refused`. Nothing of it can
        be read, and nothing of an older object of this key changes, before it is completed. It stays until it is
        completed or aborted. Several uploads of one key do not disturb each other.
        """

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> PartInfo:
        """Durable when it returns. The same number again replaces, in any order.

        A part that is empty, or of a wrong size or number, is `refused`: some stores see it when it is completed only.
        Raises UploadNotFound, as the others do that are told an upload.
        """

    async def parts(self, key: str, upload_id: str) -> Sequence[PartInfo]:
        """What the store has, by number. Beside a part those may stand that it replaced (SeaweedFS keeps them)."""

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartInfo]) -> ObjectInfo:
        """Make the object of exactly these parts, which are numbered from 1 without holes.

        Unless the store has them so, with these etags, it is `refused` and the upload stays as it is. A part that was
        replaced must not be named. Who gets no answer and asks again may be told UploadNotFound.
        """

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Forget it with its parts. Idempotent."""

    def uploads(self, prefix: str) -> AsyncIterator[UploadInfo]:
        """Every upload whose key begins so, in an order of the store's own."""

    def presign_get(self, key: str, *, expires_s: int, filename: str = "") -> str:
        """URL for one GET (ranges allowed); `filename`: served as an attachment of that name, else inline."""

    def presign_put(self, key: str, *, expires_s: int, size_bytes: int) -> str:
        """URL for one PUT of this key with so many bytes; sending it again replaces the object.

        A folder takes no other size. S3 takes any (a signed URL cannot bind it): whoever relies on it must look.
        """

    @property
    def browser_origin(self) -> str:
        """Origin that pages must be allowed to reach (CSP); empty: the program's own."""
