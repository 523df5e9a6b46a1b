"""What can be had of a Matroska file that `recorder.track_file` is still writing. No I/O of its own.

Such a file is a head with room for what is known at the end, and whole clusters behind it. A *snapshot* is all of it up
to where a cluster begins, with the head filled in: the size, the duration and the cues of exactly that (RFC 9559). A
snapshot is named by its size and always has the same bytes, so ranges of it may be asked for one by one while the file
grows: behind the head nothing changes any more. The last cluster is not in it: only where that begins is known.
"""

import math
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""Offset and length: so many bytes, or fewer at the end of the file."""

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
INFO, SEEK_HEAD, CUES, TAGS, VOID = 0x1549A966, 0x114D9B74, 0x1C53BB6B, 0x1254C367, 0xEC
DURATION, TIMESTAMP, SIMPLE_BLOCK = 0x4489, 0xE7, 0xA3
SIZE_BYTES = 8
"""Of the segment's size, which libavformat leaves unknown until it closes the file."""
HEADER_BYTES = 12
"""An element's id and size at most."""
LOOK_BYTES = 64
"""The beginning of a cluster: its header, its time and the header of its first block."""
INFO_BYTES = 4096
"""Looked at of the element with the duration. libavformat writes 32."""
MAX_TOP_ELEMENTS = 64
"""Before the first cluster. libavformat writes six."""
MAX_MS = 0xFFFFFFFF
"""49 days; what is later is damaged."""
KEY_FLAG = 0x80
CUE_TIME, CUE_POSITION = b"\xbb\x95\xb3\x84", b"\xb7\x8d\xf7\x81\x01\xf1\x88"
"""CuePoint { CueTime (4 bytes), CueTrackPositions { CueTrack 1, CueClusterPosition (8 bytes) } } without the values."""

_DURATION = struct.Struct(">HBd")
_CUE_POINT = struct.Struct(">4sI7sQ")
_CUES = struct.Struct(">IQ")
_VOID = struct.Struct(">BQ")
_LONG_SIZE = 1 << 56
"""Marks a size of 8 bytes."""


class NoSuchSnapshot(Exception):
    """The file has no cluster that begins there, or not yet."""


class Snapshot(NamedTuple):
    size_bytes: int
    duration_ms: int


class _Slot(NamedTuple):
    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes


class _Element(NamedTuple):
    id: int
    body: int
    """Offset of what is in it."""
    end: int | None
    """None: not known."""


class LiveIndex:
    """Of one file, for as long as it grows. `extend` before anything is asked."""

    def __init__(self) -> None:
        self.indexed_bytes = 0
        """Where the next cluster begins, or will."""
        self._segment_body = 0
        self._duration: _Slot | None = None
        self._rooms: list[_Slot] = []
        """For what is written when the file is closed, at most MAX_TOP_ELEMENTS. The largest one is for the cues."""
        self._offsets = array("q")
        """Of clusters; with the other two arrays 17 bytes for each second of media."""
        self._times_ms = array("q")
        self._keys = array("b")
        """Whether a cluster begins with a key frame."""

    @property
    def latest(self) -> Snapshot | None:
        """The longest one; None while there is none."""
        if len(self._offsets) < 2:
            return None
        return Snapshot(self._offsets[-1], self._times_ms[-1])

    def extend(self, read: Read, file_bytes: int) -> None:
        """Take up the clusters that came since. What is none of this program's files has none."""
        if not self._offsets and not self._read_head(read):
            return
        while (element := _element(data := read(at := self.indexed_bytes, LOOK_BYTES), at)) is not None:
            if element.id != CLUSTER or element.end is None or element.end > file_bytes:
                return
            begin = _cluster_begin(data[element.body - at :])
            if begin is None:
                return
            self._offsets.append(at)
            self._times_ms.append(begin[0])
            self._keys.append(begin[1])
            self.indexed_bytes = element.end

    def head(self, read: Read, size_bytes: int) -> bytes:
        """The bytes before the first cluster, of the snapshot of this size. Raises NoSuchSnapshot."""
        border = bisect_left(self._offsets, size_bytes)
        if not 1 <= border < len(self._offsets) or self._offsets[border] != size_bytes:
            raise NoSuchSnapshot
        head = bytearray(read(0, self._offsets[0]))
        if len(head) < self._offsets[0]:
            raise NoSuchSnapshot
        at = self._segment_body - SIZE_BYTES
        head[at : self._segment_body] = (_LONG_SIZE | size_bytes - self._segment_body).to_bytes(SIZE_BYTES)
        if self._duration is not None:
            _DURATION.pack_into(head, self._duration.offset, DURATION, 0x88, float(self._times_ms[border]))
        for room in self._rooms:
            _clear(head, room)
        if self._rooms:
            self._write_cues(head, max(self._rooms, key=lambda room: room.size_bytes), border)
        return bytes(head)

    def _write_cues(self, head: bytearray, room: _Slot, border: int) -> None:
        """As many as there is room for, evenly."""
        most = (room.size_bytes - _CUES.size - _VOID.size) // _CUE_POINT.size
        keys = [number for number in range(border) if self._keys[number]]
        if most < 1 or not keys:
            return
        keys = keys[:: math.ceil(len(keys) / most)]
        at = room.offset
        _CUES.pack_into(head, at, CUES, _LONG_SIZE | len(keys) * _CUE_POINT.size)
        at += _CUES.size
        for number in keys:
            position = self._offsets[number] - self._segment_body
            _CUE_POINT.pack_into(head, at, CUE_TIME, self._times_ms[number], CUE_POSITION, position)
            at += _CUE_POINT.size
        _clear(head, _Slot(at, room.end - at))

    def _read_head(self, read: Read) -> bool:
        """Whether it is all there."""
        ebml = _element(read(0, HEADER_BYTES), 0)
        if ebml is None or ebml.id != EBML or ebml.end is None:
            return False
        segment = _element(read(ebml.end, HEADER_BYTES), ebml.end)
        if segment is None or segment.id != SEGMENT:
            return False
        self._segment_body = at = segment.body
        self._rooms.clear()
        for _ in range(MAX_TOP_ELEMENTS):
            element = _element(read(at, HEADER_BYTES), at)
            if element is None:
                return False
            if element.id == CLUSTER:
                self.indexed_bytes = at
                return True
            if element.end is None:
                return False
            if element.id == INFO:
                self._duration = _duration_slot(
                    read(element.body, min(element.end - element.body, INFO_BYTES)), element.body
                )
            elif element.id in (VOID, CUES, SEEK_HEAD, TAGS):
                self._add_room(at, element.end)
            at = element.end
        return False

    def _add_room(self, at: int, end: int) -> None:
        """Voids, and what libavformat writes into them when it closes the file, are one room where they touch.

        The tags are another way to say the duration.
        """
        if self._rooms and self._rooms[-1].end == at:
            at = self._rooms.pop().offset
        self._rooms.append(_Slot(at, end - at))


def _clear(head: bytearray, room: _Slot) -> None:
    """Make one Void element of it, if it has the size."""
    if room.size_bytes >= _VOID.size:
        head[room.offset : room.end] = bytes(room.size_bytes)
        _VOID.pack_into(head, room.offset, VOID, _LONG_SIZE | room.size_bytes - _VOID.size)


def _element(data: bytes, at: int) -> _Element | None:
    """The element that begins with `data`, which lies at `at`. None: it is cut off, or none."""
    if not data or data[0] < 0x10:  # an id has 4 bytes at most
        return None
    id_bytes = 9 - data[0].bit_length()
    sizes = data[id_bytes : id_bytes + 8]
    if not sizes or not sizes[0]:
        return None
    size_bytes = 9 - sizes[0].bit_length()
    if len(sizes) < size_bytes:
        return None
    unknown = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(sizes[:size_bytes]) & unknown
    body = at + id_bytes + size_bytes
    return _Element(int.from_bytes(data[:id_bytes]), body, None if size == unknown else body + size)


def _duration_slot(info: bytes, offset: int) -> _Slot | None:
    """Where the duration stands, or has its place."""
    at = 0
    while (element := _element(info[at : at + HEADER_BYTES], at)) is not None and element.end is not None:
        if element.id in (VOID, DURATION) and element.end - at == _DURATION.size:
            return _Slot(offset + at, _DURATION.size)
        at = element.end
    return None


def _cluster_begin(body: bytes) -> tuple[int, bool] | None:
    """Time in ms, and whether the first block is a key frame. `body`: how the cluster's content begins."""
    at = 0
    time_ms: int | None = None
    while (element := _element(body[at : at + HEADER_BYTES], at)) is not None and element.end is not None:
        if element.id == TIMESTAMP:
            time_ms = int.from_bytes(body[element.body : element.end])
        elif element.id == SIMPLE_BLOCK:
            flags_at = element.body + 3  # behind a track number of one byte and the time within the cluster
            if time_ms is None or time_ms > MAX_MS or flags_at >= len(body):
                return None
            return time_ms, bool(body[flags_at] & KEY_FLAG)
        elif time_ms is not None and time_ms <= MAX_MS and element.end > len(body):
            return time_ms, False  # a block of another kind
        at = element.end
    return None
