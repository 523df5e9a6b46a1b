"""What a power failure leaves of a folder: `with watched(folder, hold) as disk: ...`, at any moment `disk.cut(into)`.

A model of the strictest disk that POSIX allows. Of a file only that stays for sure which was written before its last
fsync or fdatasync, of a folder only the names that it had at its last fsync, and the folder itself only if its own
name stays. Of everything later each part may be there or not, by chance and in any order: bytes behind the synced ones
up to any length, or with zeros or garbage in their place; new names, or the old ones that they replaced; removed files
again (not removed folders). Only a rename is one step: the file or folder has its old name or the new one.

Calls of `os.fsync` and `os.fdatasync` of this process are seen, which is how Stemroom syncs; SQLite's own are not: a
database of SQLite is copied as of its last transaction, as its `synchronous=FULL` has it.
"""

import os
import random
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

Names = dict[str, int]
"""What is in a folder: inodes by name."""


class Disk:
    """Thread-safe. Files that had a durable name are kept in `hold` by a link of their own until the end."""

    def __init__(self, folder: Path, hold: Path, databases: tuple[str, ...] = ()) -> None:
        """`hold`: an empty folder on the same file system; `databases`: SQLite files in `folder`, copied apart."""
        self.syncs = 0
        """So far."""
        self.on_sync: Callable[[int], None] = lambda _: None
        """Called before each sync takes effect, with its number from 1 on; for a failure at just that moment."""
        self._folder = folder
        self._hold = hold
        self._databases = databases
        self._lock = threading.RLock()
        self._synced: dict[int, int] = {}
        """Durable bytes by inode of a file."""
        self._durable: dict[int, Names] = {}
        """Durable names by inode of a folder."""
        self._take_all(folder)

    def synced_bytes(self, path: Path) -> int:
        """How much of a file is durable."""
        return self._synced.get(path.stat().st_ino, 0)

    def sync(self, descriptor: int, real: Callable[[int], None]) -> None:
        """Do what `os.fsync` does, and note it."""
        with self._lock:
            if self._is_ours(descriptor):
                self.syncs += 1
                self.on_sync(self.syncs)
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                names = self._names(Path(f"/proc/self/fd/{descriptor}"))
                real(descriptor)
                self._durable[status.st_ino] = names
            else:
                real(descriptor)
                self._synced[status.st_ino] = status.st_size

    def cut(self, into: Path, chance: random.Random) -> None:
        """Write what a power failure now leaves, as a new folder. Syncs wait meanwhile."""
        with self._lock:
            into.mkdir(mode=0o700, parents=True)
            for name in self._databases:
                with (
                    closing(sqlite3.connect(self._folder / name)) as now,
                    closing(sqlite3.connect(into / name)) as copy,
                ):
                    now.backup(copy)
            self._cut_folder(self._folder, into, chance, top=True)

    def _take_all(self, folder: Path) -> None:
        """All that is there already is durable."""
        self._durable[folder.stat().st_ino] = self._names(folder)
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                self._take_all(path)
            else:
                self._synced[path.stat().st_ino] = path.stat().st_size

    def _is_ours(self, descriptor: int) -> bool:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(self._folder)

    def _names(self, folder: Path) -> Names:
        names: Names = {}
        for name in os.listdir(folder):
            try:
                status = os.lstat(folder / name)
                names[name] = status.st_ino
                if stat.S_ISREG(status.st_mode) and not (self._hold / str(status.st_ino)).exists():
                    os.link(folder / name, self._hold / str(status.st_ino))
            except FileNotFoundError:
                names.pop(name, None)  # renamed or removed just now
        return names

    def _cut_folder(self, folder: Path, into: Path, chance: random.Random, *, top: bool = False) -> None:
        before, now = self._durable.get(folder.stat().st_ino, {}), self._names(folder)
        called = {inode: name for name, inode in now.items()}
        for name, inode in self._chosen(before, now, chance).items():
            if top and name.startswith(self._databases):
                continue
            path = folder / called.get(inode, name)
            if path.is_dir() and not path.is_symlink():
                (into / name).mkdir(mode=0o700)
                self._cut_folder(path, into / name, chance)
            elif (held := self._hold / str(inode)).exists():
                content = self._cut_file(held.read_bytes(), self._synced.get(inode, 0), chance)
                (into / name).write_bytes(content)
                (into / name).chmod(held.stat().st_mode & 0o777)

    @staticmethod
    def _chosen(before: Names, now: Names, chance: random.Random) -> Names:
        """Names that are there after the failure."""
        chosen = {name: inode for name, inode in now.items() if before.get(name) == inode}
        was = {inode: name for name, inode in before.items()}
        for name in sorted(set(before) | set(now)):
            if name in chosen:
                continue
            old, new = before.get(name), now.get(name)
            if new is not None and was.get(new, name) != name:
                continue  # renamed: decided with its old name
            if old is not None and (renamed := next((to for to, inode in now.items() if inode == old), "")):
                if chance.random() < 0.5:
                    chosen[renamed] = old
                    continue
                chosen[name] = old
                if renamed in before:
                    chosen[renamed] = before[renamed]
            elif old is not None and (chance.random() < 0.5 or (new is None and chance.random() < 0.5)):
                chosen[name] = old
            elif new is not None and (old is not None or chance.random() < 0.5):
                chosen[name] = new
        return chosen

    @staticmethod
    def _cut_file(content: bytes, synced: int, chance: random.Random) -> bytes:
        tail = content[synced:]
        kept = bytearray(tail[: chance.randint(0, len(tail))])
        if kept and chance.random() < 0.4:
            at = chance.randrange(len(kept))
            size = chance.randint(1, len(kept) - at)
            kept[at : at + size] = bytes(size) if chance.random() < 0.5 else chance.randbytes(size)
        return content[:synced] + bytes(kept)


@contextmanager
def watched(folder: Path, hold: Path, databases: tuple[str, ...] = ()) -> Iterator[Disk]:
    """All that is in `folder` now is durable; from now on every sync is seen."""
    hold.mkdir()
    disk = Disk(folder.resolve(), hold, databases)
    fsync, fdatasync = os.fsync, os.fdatasync

    def descriptor_of(file: object) -> int:
        return file if isinstance(file, int) else file.fileno()  # type: ignore[attr-defined]

    os.fsync = lambda fd: disk.sync(descriptor_of(fd), fsync)
    os.fdatasync = lambda fd: disk.sync(descriptor_of(fd), fdatasync)
    try:
        yield disk
    finally:
        os.fsync, os.fdatasync = fsync, fdatasync
