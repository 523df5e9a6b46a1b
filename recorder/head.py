"""The picture's size in the head of a Matroska or WebM file, to be changed in place (RFC 9559 5.1.4, RFC 8794 4 and 5).

Found once, by walking the elements of the head; nothing is searched for in the data. A size of another length would
move all that follows, so a file is opened with one that takes as many bytes as the largest may.
"""

import os
from pathlib import Path
from typing import NamedTuple

FIELD_BYTES = 2
NARROWEST, LARGEST = 1 << 8, (1 << 16) - 1
"""What a muxer writes in FIELD_BYTES bytes. Smaller numbers may stand there too, with zeros in front."""
HEAD_BYTES = 4_096
"""Read of a file; what stands before the tracks is fixed by our muxer and a tenth of it."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_PATH = (_SEGMENT, _TRACKS, _TRACK, _VIDEO)
_WIDTH, _HEIGHT = 0xB0, 0xBA


class HeadError(ValueError):
    """There is no head with the size of a picture in FIELD_BYTES bytes."""


class SizeFields(NamedTuple):
    """Offsets in the file."""

    width: int
    height: int


def with_room(size: tuple[int, int]) -> tuple[int, int]:
    """The size to open a file with in which `size`, and any other, is to be stated later."""
    width, height = (min(max(pixels, NARROWEST), LARGEST) for pixels in size)
    return width, height


def find_size(path: Path) -> SizeFields:
    """Where the first video track has its size. Raises HeadError, OSError."""
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    at, end = 0, len(data)
    for wanted in _PATH:
        at, end = _find(data, wanted, at, end)
    return SizeFields(_field(data, _WIDTH, at, end), _field(data, _HEIGHT, at, end))


def write_size(path: Path, fields: SizeFields, size: tuple[int, int]) -> None:
    """State this size; more than LARGEST as that. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for offset, pixels in zip(fields, size, strict=True):
            os.pwrite(fd, min(pixels, LARGEST).to_bytes(FIELD_BYTES, "big"), offset)
    finally:
        os.close(fd)


def _field(data: bytes, wanted: int, at: int, end: int) -> int:
    begin, after = _find(data, wanted, at, end)
    if after - begin != FIELD_BYTES:
        raise HeadError(f"a size of {after - begin} bytes")
    return begin


def _find(data: bytes, wanted: int, at: int, end: int) -> tuple[int, int]:
    """The first element with this id from `at` on: where its content begins, and where it ends or `data` does."""
    while at < end:
        identifier, at = _number(data, at, marked=True)
        length, at = _number(data, at, marked=False)
        if identifier == wanted:
            return at, min(at + length, len(data))
        at += length
    raise HeadError(f"no element {wanted:X}")


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """A number of variable length, with its length marker (an id) or without, and where the next thing begins."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if first == 0 or at + length > len(data):
        raise HeadError("a number is cut off")
    value = int.from_bytes(data[at : at + length], "big")
    return value if marked else value & ((1 << 7 * length) - 1), at + length
