"""Objects in parts in S3: the one place that uses what `minio` has below its public interface.

Its public methods send an object as parts only when all of it is there. The requests themselves are methods with an
underscore; minio is pinned to the minor, and the contract's tests hold what is relied on (docs/decisions/0009). All of
it blocks; errors are minio's own.
"""

from collections.abc import Iterator, Sequence

from minio import Minio
from minio.datatypes import ListMultipartUploadsResult, Part

from storage.objects import PartInfo, UploadInfo

PAGE = 1000
"""Parts or uploads listed at once; also S3's own limit."""


class S3Uploads:
    """`name`: of the object in the bucket, prefix included."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def begin(self, name: str, content_type: str) -> str:
        return self._client._create_multipart_upload(self._bucket, name, {"Content-Type": content_type})

    def put(self, name: str, upload_id: str, number: int, data: bytes) -> PartInfo:
        """Its etag is the MD5 of the data with most servers, and another name with some kinds of encryption."""
        etag = self._client._upload_part(self._bucket, name, data, None, upload_id, number)
        return PartInfo(number, len(data), etag)

    def parts(self, name: str, upload_id: str) -> list[PartInfo]:
        found: list[PartInfo] = []
        marker: str | None = None
        while True:
            page = self._client._list_parts(self._bucket, name, upload_id, PAGE, marker)
            found += [PartInfo(part.part_number, part.size or 0, part.etag) for part in page.parts]
            marker = page.next_part_number_marker
            if not page.is_truncated or not marker:
                return [*dict.fromkeys(found)]  # SeaweedFS lists what was put twice twice

    def complete(self, name: str, upload_id: str, parts: Sequence[PartInfo]) -> str:
        """The object's etag."""
        told = [Part(part.number, part.etag) for part in parts]
        return self._client._complete_multipart_upload(self._bucket, name, upload_id, told).etag or ""

    def abort(self, name: str, upload_id: str) -> None:
        self._client._abort_multipart_upload(self._bucket, name, upload_id)

    def pages(self, prefix: str) -> Iterator[list[UploadInfo]]:
        """Uploads of names that begin so; `key` is the name."""
        key_marker: str | None = None
        id_marker: str | None = None
        while True:
            page = self._client._list_multipart_uploads(self._bucket, None, None, key_marker, PAGE, prefix, id_marker)
            yield [
                UploadInfo(upload.object_name, upload.upload_id or "", upload.initiated_time.timestamp())
                for upload in page.uploads
                if upload.initiated_time is not None
            ]
            key_marker, id_marker = page.next_key_marker, _next_id(page)
            if not page.is_truncated or not (key_marker or id_marker):  # SeaweedFS has ids in order, and names no key
                return


def _next_id(page: ListMultipartUploadsResult) -> str | None:
    """minio 7.2.20 writes it under a name that is no attribute."""
    return page.next_upload_id_marker or vars(page).get("self._next_upload_id_marker")
