"""Which parts of a file are still to be sent, while it grows and when it is closed. No I/O.

Rests on this: what was flushed of a file stays as it is, but for its head, which lies in the first part and is written
again when the file is closed (`recorder.track_file`). Nothing is lost if that does not hold: a file is made only of
parts whose SHA-256 is that of the closed file.
"""

from collections.abc import Iterable, Sequence

import msgspec

from storage.multipart import MAX_PARTS
from storage.objects import PartInfo

PART_BYTES = 8 << 20
"""S3 takes 10,000 parts of an object, so 78 GiB; what is longer is put whole when it is closed."""

HEAD = 1
"""Number of the part that changes when the file is closed."""


class SentPart(msgspec.Struct, frozen=True):
    """A part that the store said it has."""

    number: int
    size_bytes: int
    etag: str
    sha256: str

    def info(self) -> PartInfo:
        return PartInfo(self.number, self.size_bytes, self.etag)


class UploadPlan:
    def __init__(self, sent: Iterable[SentPart] = (), stored: Iterable[PartInfo] = ()) -> None:
        """`sent`: what an earlier process remembers; of that counts what the store has (`stored`)."""
        has = {*stored}
        self._sent = {part.number: part for part in sent if part.info() in has}
        self._compared = {HEAD} & self._sent.keys()
        """Parts that are those of the file, as far as can be said: the head of an unfinished file is another one."""

    @property
    def sent(self) -> list[SentPart]:
        """By number."""
        return [self._sent[number] for number in sorted(self._sent)]

    @property
    def stored_bytes(self) -> int:
        """The store has all parts of the growing file up to here."""
        parts = 0
        while parts + 1 in self._sent:
            parts += 1
        return parts * PART_BYTES

    def next_part(self, flushed_bytes: int) -> int | None:
        """Number of the first part that the growing file has whole and nobody compared or sent yet."""
        for number in range(1, min(flushed_bytes // PART_BYTES, MAX_PARTS) + 1):
            if number not in self._compared:
                return number
        return None

    def compare(self, number: int, sha256: str) -> bool:
        """Whether this part, as the file has it, was sent; else it is to be sent, which replaces it."""
        known = self._sent.get(number)
        if known is None or known.sha256 != sha256:
            return False
        self._compared.add(number)
        return True

    def take(self, part: SentPart) -> None:
        """The store has this part."""
        self._sent[part.number] = part
        self._compared.add(part.number)

    def missing(self, digests: Sequence[str]) -> list[int] | None:
        """Numbers of the parts that are to be sent so that the upload makes the closed file.

        `digests`: SHA-256 of each of its parts. None: it is not the file that was growing (its index outgrew its
        space, say), or has more parts than may be; it must be put whole.
        """
        differing = [number for number, sha256 in enumerate(digests, start=1) if not self.compare(number, sha256)]
        strange = any(number != HEAD and number in self._sent for number in differing)
        if strange or len(digests) > MAX_PARTS or any(number > len(digests) for number in self._sent):
            return None
        return differing
