"""What the parts of an upload may be: the same in every store, after the limits of S3."""

from collections.abc import Sequence

from storage.objects import ObjectStoreError, PartInfo

MIN_PART_BYTES = 5 << 20
"""Of S3, for every part but the last."""

MAX_PART_BYTES = 64 << 20
"""S3 allows 5 GiB; a part is in memory while it is sent."""

MAX_PARTS = 10_000
"""Of S3."""


def check_part_bytes(part_bytes: int) -> int:
    """Returns it. Raises ObjectStoreError `refused` unless parts may have this size."""
    if not MIN_PART_BYTES <= part_bytes <= MAX_PART_BYTES:
        raise ObjectStoreError("refused", f"parts have {MIN_PART_BYTES} to {MAX_PART_BYTES} bytes, not {part_bytes}")
    return part_bytes


def check_part(number: int, size_bytes: int, part_bytes: int = MAX_PART_BYTES) -> None:
    """Raises ObjectStoreError `refused` unless an upload of such parts may have this one."""
    if not 1 <= number <= MAX_PARTS:
        raise ObjectStoreError("refused", f"parts are numbered from 1 to {MAX_PARTS}")
    if not 1 <= size_bytes <= part_bytes:
        raise ObjectStoreError("refused", f"a part has 1 to {part_bytes} bytes, not {size_bytes}")


def check_parts(parts: Sequence[PartInfo]) -> int:
    """The size of the object that they make. Raises ObjectStoreError `refused` unless they make one."""
    if [part.number for part in parts] != list(range(1, len(parts) + 1)) or not 1 <= len(parts) <= MAX_PARTS:
        raise ObjectStoreError("refused", "an object is made of parts that are numbered from 1 without holes")
    *before, last = [part.size_bytes for part in parts]
    if before and (set(before) != {before[0]} or before[0] < MIN_PART_BYTES or last > before[0]):
        raise ObjectStoreError("refused", f"every part but the last has the same size, {MIN_PART_BYTES} bytes at least")
    return sum(before) + last
