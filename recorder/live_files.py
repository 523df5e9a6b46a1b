"""The server files of a recording that are not in the object store yet: which there are, and what can be had of them.

Reads what the recorder process writes and asks it nothing: the journals name the tracks, `recorder.live_index` says how
far a file goes. So it works while the recorder is away too. Everything blocks; any thread may call.
"""

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from recorder.earlier_file import earlier
from recorder.journal import SUFFIX, FileHeader, JournalDecoder
from recorder.live_index import LiveIndex, NoSuchSnapshot, Read, Snapshot
from recorder.track_file import container_of

CONTENT_TYPES = {"webm": "video/webm", "mkv": "video/x-matroska"}
"""By extension, as the object store serves them."""
MAX_FILES = 1024
"""Whose indices are kept; the one used longest ago goes, and is made again if it is asked for (10 ms for an hour)."""
HEADER_BYTES = 64 * 1024
"""A journal's header is much shorter."""


class LiveSegment(NamedTuple):
    """A server file that is being made, or waits for the store."""

    segment_id: str
    take_id: str
    codec: str
    content_type: str
    extension: str
    opened_ns: int
    """When its track was first seen, on the session clock: the first sample came soon after."""
    snapshot: Snapshot | None
    """None: nothing can be had yet."""


class LiveBody:
    """One snapshot of one file, open until `close`. Its bytes stay the same whatever becomes of the file."""

    def __init__(self, fd: int, head: bytes, size_bytes: int, content_type: str) -> None:
        self.size_bytes = size_bytes
        self.content_type = content_type
        self._fd = fd
        self._head = head

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes within the snapshot, or some of them; none at all if the file was cut off meanwhile."""
        if offset < len(self._head):
            return self._head[offset : offset + length]
        return os.pread(self._fd, min(length, self.size_bytes - offset), offset)

    def close(self) -> None:
        os.close(self._fd)


class _Indexed:
    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.index = LiveIndex()


class LiveFiles:
    def __init__(self, spool: Path, work: Path) -> None:
        """`spool`, `work`: the folders of all recordings."""
        self._spool = spool
        self._work = work
        self._indices: OrderedDict[Path, _Indexed] = OrderedDict()
        self._headers: OrderedDict[str, FileHeader] = OrderedDict()
        """By segment id."""
        self._lock = threading.Lock()

    def of(self, recording_id: str) -> list[LiveSegment]:
        """In the order of time. Raises OSError."""
        made = (name.split(".") for name in _names(self._work / recording_id))
        ids = {segment_id for segment_id, *rest in made if rest and rest[0] in CONTENT_TYPES}
        found = []
        for name in _names(self._spool / recording_id):
            segment_id = name.rpartition("-")[0]
            if name.endswith(SUFFIX) and segment_id in ids:
                ids.discard(segment_id)
                if (header := self._header(recording_id, segment_id, name)) is not None:
                    found.append(self._segment(recording_id, header))
        return sorted(found, key=lambda segment: (segment.opened_ns, segment.segment_id))

    def open(self, recording_id: str, segment_id: str, size_bytes: int) -> LiveBody:
        """Raises NoSuchSnapshot, OSError. Both ids must be well-formed."""
        for extension, content_type in CONTENT_TYPES.items():
            path = self._work / recording_id / f"{segment_id}.{extension}"
            for candidate in (path, earlier(path)):
                try:
                    fd = os.open(candidate, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                except FileNotFoundError:
                    continue
                try:
                    with self._lock:
                        head = self._index(candidate, fd).head(_reader(fd), size_bytes)
                    return LiveBody(fd, head, size_bytes, content_type)
                except NoSuchSnapshot:
                    os.close(fd)
                except BaseException:
                    os.close(fd)
                    raise
        raise NoSuchSnapshot

    def _segment(self, recording_id: str, header: FileHeader) -> LiveSegment:
        track = header.track
        assert track is not None, "looked at when the header was read"
        _, extension, content_type = container_of(track.stream.codec)
        path = self._work / recording_id / f"{track.segment_id}.{extension}"
        latest = max(filter(None, (self._latest(path), self._latest(earlier(path)))), default=None)
        opened_ns = header.opened_monotonic_ns - header.recording.zero_monotonic_ns
        return LiveSegment(
            track.segment_id, track.take_id, track.stream.codec, content_type, extension, opened_ns, latest
        )

    def _latest(self, path: Path) -> Snapshot | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            with self._lock:
                return self._index(path, fd).latest
        finally:
            os.close(fd)

    def _index(self, path: Path, fd: int) -> LiveIndex:
        """Of an open file, up to where it goes now. Under the lock."""
        status = os.fstat(fd)
        known = self._indices.get(path)
        if known is None or known.inode != status.st_ino or known.index.indexed_bytes > status.st_size:
            known = self._indices[path] = _Indexed(status.st_ino)
        self._indices.move_to_end(path)
        if len(self._indices) > MAX_FILES:
            self._indices.popitem(last=False)
        known.index.extend(_reader(fd), status.st_size)
        return known.index

    def _header(self, recording_id: str, segment_id: str, name: str) -> FileHeader | None:
        """None: it is not written yet, or the journal is of no track."""
        with self._lock:
            if (known := self._headers.get(segment_id)) is not None:
                return known
        try:
            with (self._spool / recording_id / name).open("rb") as file:
                records = JournalDecoder().feed(file.read(HEADER_BYTES))
        except FileNotFoundError:
            return None
        header = records[0] if records else None
        if not isinstance(header, FileHeader) or header.track is None or header.track.segment_id != segment_id:
            return None
        with self._lock:
            self._headers[segment_id] = header
            if len(self._headers) > MAX_FILES:
                self._headers.popitem(last=False)
        return header


def _reader(fd: int) -> Read:
    return lambda offset, length: os.pread(fd, length, offset)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
