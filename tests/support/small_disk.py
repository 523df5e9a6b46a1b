"""A small disk for one program: a tmpfs in a mount namespace of its own, which ends with the program.

It is reached from outside through the program's process id; nothing of the machine is mounted or changed.
"""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_MOUNTS = "No mount namespaces for this user: the tests with a full disk are left out (unshare --user --mount)."
_MOUNT = 'mkdir -p "$0" && mount -t tmpfs -o size="$1" stemroom-test "$0" && shift && exec "$@"'
_PIECE = bytes(1 << 16)


def under(folder: Path, size_bytes: int) -> list[str]:
    """The beginning of a command line: what follows sees a disk of this size at `folder`, in the same process."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT, str(folder), str(size_bytes)]


def available(folder: Path) -> bool:
    try:
        return subprocess.run([*under(folder, 1 << 16), "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class SmallDisk:
    """The disk of process `pid` at `folder`."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.folder = Path(f"/proc/{pid}/root") / folder.relative_to("/")
        self._filler = self.folder / "of-somebody-else"

    @property
    def free_bytes(self) -> int:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Write until no more than this is free; 0: until the disk refuses."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while leave_bytes == 0 or self.free_bytes > leave_bytes:
                    file.write(_PIECE)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    @contextmanager
    def kept_full(self) -> Iterator[None]:
        """Whatever becomes free is taken at once."""
        stop = threading.Event()

        def take() -> None:
            while not stop.wait(0.01):
                self.fill()

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def clear(self) -> None:
        self._filler.unlink()
