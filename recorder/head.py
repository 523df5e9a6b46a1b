"""What the head of a Matroska or WebM file says of its picture or sound, to be changed in place (RFC 9559 5.1.4, RFC
8794 4 and 5).

Found once, by walking the elements of the head; nothing is searched for in the data. A size of another length would
move all that follows, so a file is opened with one that takes as many bytes as the largest may. The number of channels
takes one byte in any case.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

FIELD_BYTES = 2
NARROWEST, LARGEST = 1 << 8, (1 << 16) - 1
"""What a muxer writes in FIELD_BYTES bytes. Smaller numbers may stand there too, with zeros in front."""
HEAD_BYTES = 4_096
"""Read of a file; what stands before the tracks is fixed by our muxer and a tenth of it."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO, _AUDIO, _CODEC = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x63A2
_WIDTH, _HEIGHT, _CHANNELS = 0xB0, 0xBA, 0x9F
_OPUS_CHANNELS = 9
"""Place of the number of channels in an OpusHead (RFC 7845 5.1)."""


class HeadError(ValueError):
    """There is no head that says this in a field of the length that it should have."""


class SizeFields(NamedTuple):
    """Offsets in the file."""

    width: int
    height: int


class ChannelFields(NamedTuple):
    """Offsets in the file."""

    track: int
    opus: int
    """In the OpusHead."""


def with_room(size: tuple[int, int]) -> tuple[int, int]:
    """The size to open a file with in which `size`, and any other, is to be stated later."""
    width, height = (min(max(pixels, NARROWEST), LARGEST) for pixels in size)
    return width, height


def find_size(path: Path) -> SizeFields:
    """Where the first video track has its size. Raises HeadError, OSError."""
    data = _head(path)
    at, end = _inside(data, _SEGMENT, _TRACKS, _TRACK, _VIDEO)
    return SizeFields(_field(data, _WIDTH, at, end, FIELD_BYTES), _field(data, _HEIGHT, at, end, FIELD_BYTES))


def find_channels(path: Path) -> ChannelFields:
    """Where the first track, which is Opus, has the number of its channels. Raises HeadError, OSError."""
    data = _head(path)
    sound = _inside(data, _SEGMENT, _TRACKS, _TRACK, _AUDIO)
    at, end = _inside(data, _SEGMENT, _TRACKS, _TRACK, _CODEC)
    if end - at <= _OPUS_CHANNELS:
        raise HeadError("a short OpusHead")
    return ChannelFields(_field(data, _CHANNELS, *sound, 1), at + _OPUS_CHANNELS)


def read_size(path: Path) -> tuple[int, int]:
    """The size that is stated. Raises HeadError, OSError."""
    fields = find_size(path)
    with path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    width, height = (int.from_bytes(data[at : at + FIELD_BYTES], "big") for at in fields)
    return width, height


def write_size(path: Path, fields: SizeFields, size: tuple[int, int]) -> None:
    """State this size; more than LARGEST as that. Raises OSError."""
    _write(path, fields, [min(pixels, LARGEST).to_bytes(FIELD_BYTES, "big") for pixels in size])


def write_channels(path: Path, fields: ChannelFields, channels: int) -> None:
    """State so many channels, 1 or 2. Raises OSError."""
    _write(path, fields, [bytes((channels,))] * 2)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _write(path: Path, offsets: Iterable[int], values: Iterable[bytes]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for offset, value in zip(offsets, values, strict=True):
            os.pwrite(fd, value, offset)
    finally:
        os.close(fd)


def _inside(data: bytes, *path: int) -> tuple[int, int]:
    """Where the content of the element at this path begins and ends."""
    at, end = 0, len(data)
    for wanted in path:
        at, end = _find(data, wanted, at, end)
    return at, end


def _field(data: bytes, wanted: int, at: int, end: int, length: int) -> int:
    begin, after = _find(data, wanted, at, end)
    if after - begin != length:
        raise HeadError(f"a field of {after - begin} bytes")
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
