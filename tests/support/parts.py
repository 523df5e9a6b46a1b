"""Parts of uploads that differ from each other and cost nothing to make."""

from collections.abc import Sequence

from storage.objects import ObjectStore, PartInfo

CONTENT_TYPE = "video/webm"


def filled(size_bytes: int, mark: int) -> bytes:
    """So many bytes that are not those of another mark (0..255)."""
    return bytes((mark,)) * size_bytes


async def read(store: ObjectStore, key: str) -> bytes:
    return b"".join([piece async for piece in store.get(key)])


async def put_parts(store: ObjectStore, key: str, upload_id: str, contents: Sequence[bytes]) -> list[PartInfo]:
    return [await store.put_part(key, upload_id, number, data) for number, data in enumerate(contents, start=1)]


async def upload_ids(store: ObjectStore, prefix: str) -> set[tuple[str, str]]:
    """Key and id of each upload that is not over."""
    return {(upload.key, upload.upload_id) async for upload in store.uploads(prefix)}
