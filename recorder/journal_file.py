"""One journal on disk, as its writer thread sees it: born headed and locked, then only appended to.

A file gets its final name only when it is locked and its header is durable, so a reader that finds a journal unlocked
knows that its writer is gone. A write that fails part-way goes on behind the last byte that was taken: the file never
holds a hole. A sync that fails is never taken for made good by a later one on the same file: Linux reports lost bytes
once, so from then on the file is damaged and nobody is told that anything in it is durable. Nothing here is called from
the event loop, but `queued.append` and `waiting.append`.
"""

import contextlib
import errno
import fcntl
import os
import time
from concurrent.futures import Future
from pathlib import Path

from recorder.journal import UNBORN_SUFFIX, FileHeader, encode_end, encode_head, packet_parts
from storage.files import fsync_folder

QueuedPacket = tuple[float, int, int, bool, bytes]
"""Arguments of `PacketTap.packet`."""
Queued = QueuedPacket | bytes
"""Encoded records are queued as bytes."""


def make_folder(folder: Path) -> None:
    """Make a folder for our eyes only, and its name durable."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fsync_folder(folder.parent)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise


class JournalFile:
    """Between the event loop, which appends to `queued`, and the writer thread, which calls everything else."""

    def __init__(self, path: Path, header: FileHeader) -> None:
        self.path = path
        self.queued: list[Queued] = []
        """Appended to by the event loop; bounded by the writer's cap."""
        self.waiting: list[Future[None]] = []
        """To be resolved when all that was queued before is durable."""
        self.end_ns: int | None = None
        """Set by the event loop: nothing will be queued any more."""
        self.dirty_since: float | None = None
        """When the oldest bytes that are not durable were taken over, monotonic seconds."""
        self.written_bytes = 0
        """Behind the header."""
        self.damage: OSError | None = None
        """The first sync that failed. What comes is still written, but nothing counts as durable any more."""
        self.closed = False
        self._opened_s = time.monotonic()
        self._header = header
        self._fd = -1
        self._named_fd = -1
        """Of a journal that has its name, but not durably."""
        self._pending = b""
        self._packets = 0
        self._end_taken = False
        self._resolvable: list[Future[None]] = []

    @property
    def born(self) -> bool:
        return self._fd >= 0

    @property
    def waiting_since(self) -> float | None:
        """Since when something of this file is not durable, monotonic seconds."""
        return self.dirty_since if self.born else self._opened_s

    def bear(self) -> None:
        """Create, lock, head, sync, name, sync the name. Raises OSError; may be called again, and goes on from there.

        A name that was given stays: a reader may have opened the file already.
        """
        if self._named_fd < 0:
            self._named_fd = self._create()
        fsync_folder(self.path.parent)
        self._fd, self._named_fd = self._named_fd, -1

    def _create(self) -> int:
        make_folder(self.path.parent)
        unborn = self.path.with_suffix(UNBORN_SUFFIX)
        fd = os.open(unborn, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            head = encode_head(self._header)
            if os.write(fd, head) != len(head):
                raise OSError(28, "short write of a journal's header")
            os.fsync(fd)
            if self.path.exists():
                raise FileExistsError(17, "journal exists", str(self.path))
            os.rename(unborn, self.path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def write(self, now_s: float) -> None:
        """Encode and write all that is queued. Raises OSError; what is left is kept for the next call."""
        if not self._pending:
            self._take(now_s)
        while self._pending:
            count = os.write(self._fd, self._pending)
            self.written_bytes += count
            self._pending = self._pending[count:]

    def _take(self, now_s: float) -> None:
        end_ns = self.end_ns
        self._resolvable += self.waiting[: (waiting := len(self.waiting))]
        del self.waiting[:waiting]
        batch = self.queued[: (count := len(self.queued))]
        del self.queued[:count]
        parts: list[bytes] = []
        for item in batch:
            if isinstance(item, bytes):
                parts.append(item)
            else:
                parts += packet_parts(*item)
                self._packets += 1
        if end_ns is not None and not self._end_taken:
            parts.append(encode_end(end_ns, self._packets))
            self._end_taken = True
        if parts:
            self._pending = b"".join(parts)
            if self.dirty_since is None:
                self.dirty_since = now_s

    def sync(self) -> None:
        """Make all that was written durable; close the file if it has ended. Raises OSError: it is damaged now.

        Of a damaged file: only fail who waits, and close it if it has ended.
        """
        if self.damage is None:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self.damage = error
                self._settle(error)
                raise
        if self.damage is not None:
            self._settle(self.damage)
        elif not self._pending:
            self.dirty_since = None
            self._settle(None)
        if self._end_taken and not self._pending:
            self.close()

    def _settle(self, error: OSError | None) -> None:
        resolvable, self._resolvable = self._resolvable, []
        for future in resolvable:
            if not future.set_running_or_notify_cancel():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(OSError(error.errno, error.strerror))

    @property
    def wants_sync(self) -> bool:
        """Somebody waits, or the file has ended."""
        return bool(self._resolvable) or self._end_taken

    def close(self) -> None:
        """Release the lock. A reader takes a file without an end record for torn from here on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.closed = True
        self._resolvable += self.waiting
        self._settle(self.damage or OSError(errno.EIO, "journal closed before it was durable"))
