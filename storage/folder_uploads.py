"""Objects in parts in a folder: each upload is a folder of its own, named by its id, beside the drafts.

It holds `upload.json` (what it is of), `draft` (the object's bytes, each part at its place: completing it renames the
draft and copies nothing) and an empty file `<number>-<size>-<md5>` for each part whose bytes are in the draft and on
disk. A part without that file was not put. Who changes an upload holds a lock on its folder, so a thread that nobody
waits for any more, or another process, does no harm. All of it blocks.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from storage.files import fsync_folder
from storage.multipart import check_part, check_part_bytes, check_parts
from storage.objects import ObjectInfo, ObjectStoreError, PartInfo, UploadInfo, UploadNotFound

ABOUT = "upload.json"
DRAFT = "draft"
_ID = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"(\d{5})-(\d+)-([0-9a-f]{32})")


class _About(msgspec.Struct, frozen=True):
    key: str
    part_bytes: int
    begun_s: float


class FolderUploads:
    def __init__(self, folder: Path, publish: Callable[[Path, str], ObjectInfo]) -> None:
        """`folder`: where uploads are; `publish`: gives a whole draft the name of its key, durably."""
        self._folder = folder
        self._publish = publish

    def begin(self, key: str, part_bytes: int, now_s: float) -> str:
        about = _About(key, check_part_bytes(part_bytes), now_s)
        upload_id = secrets.token_hex(16)
        folder = self._folder / upload_id
        folder.mkdir(mode=0o700)
        os.close(os.open(folder / DRAFT, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (folder / ABOUT).open("xb") as file:
            file.write(msgspec.json.encode(about))
            file.flush()
            os.fsync(file.fileno())
        fsync_folder(folder)
        fsync_folder(self._folder)
        return upload_id

    def put(self, key: str, upload_id: str, number: int, data: bytes) -> PartInfo:
        with self._locked(key, upload_id) as (folder, about):
            check_part(number, len(data), about.part_bytes)
            part = PartInfo(number, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
            kept = [known for known in _parts(folder) if known.number == number]
            if part in kept:
                return part
            for known in kept:
                (folder / _name(known)).unlink()
            if kept:
                fsync_folder(folder)  # the old name must not come back after a power loss: its bytes do not
            with (folder / DRAFT).open("r+b", buffering=0) as draft:
                at, view = (number - 1) * about.part_bytes, memoryview(data)
                while view:
                    written = os.pwrite(draft.fileno(), view, at)
                    at, view = at + written, view[written:]
                os.fdatasync(draft.fileno())
            (folder / _name(part)).touch(0o600)
            fsync_folder(folder)
            return part

    def parts(self, key: str, upload_id: str) -> list[PartInfo]:
        with self._locked(key, upload_id) as (folder, _):
            return _parts(folder)

    def complete(self, key: str, upload_id: str, parts: Sequence[PartInfo]) -> ObjectInfo:
        size_bytes = check_parts(parts)
        with self._locked(key, upload_id) as (folder, about):
            known = set(_parts(folder))
            if not known.issuperset(parts):
                raise ObjectStoreError("refused", f"the upload of {key} has not these parts")
            if len(parts) > 1 and parts[0].size_bytes != about.part_bytes:
                raise ObjectStoreError("refused", f"every part but the last of {key} has {about.part_bytes} bytes")
            for part in known.difference(parts):
                (folder / _name(part)).unlink()  # their bytes go, also when the key cannot be used
            os.truncate(folder / DRAFT, size_bytes)
            info = self._publish(folder / DRAFT, key)
            shutil.rmtree(folder)
            return info

    def abort(self, key: str, upload_id: str) -> None:
        try:
            with self._locked(key, upload_id) as (folder, _):
                shutil.rmtree(folder)
        except UploadNotFound:
            pass

    def all(self, prefix: str) -> Iterator[UploadInfo]:
        for name in sorted(os.listdir(self._folder)):
            about = self._about(name)
            if about is not None and about.key.startswith(prefix):
                yield UploadInfo(about.key, name, about.begun_s)

    def sweep(self, older_than_s: float) -> None:
        """Remove what is left of uploads that a process was beginning, completing or aborting when it died.

        An upload that can go on stays, however old: its owner decides.
        """
        for folder in self._folder.iterdir():
            if folder.is_dir() and self._about(folder.name) is None and folder.stat().st_mtime < older_than_s:
                shutil.rmtree(folder, ignore_errors=True)

    def _about(self, upload_id: str) -> _About | None:
        """Of an upload that can go on."""
        folder = self._folder / upload_id
        try:
            if _ID.fullmatch(upload_id) is None or not (folder / DRAFT).exists():
                return None
            return msgspec.json.decode((folder / ABOUT).read_bytes(), type=_About)
        except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
            return None

    @contextmanager
    def _locked(self, key: str, upload_id: str) -> Iterator[tuple[Path, _About]]:
        if self._about(upload_id) is None:  # before the path is used: it may be none
            raise UploadNotFound(key)
        folder = self._folder / upload_id
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UploadNotFound(key) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            about = self._about(upload_id)  # it may have ended while the lock was waited for
            if about is None or about.key != key:
                raise UploadNotFound(key)
            yield folder, about
        finally:
            os.close(descriptor)


def _name(part: PartInfo) -> str:
    return f"{part.number:05}-{part.size_bytes}-{part.etag}"


def _parts(folder: Path) -> list[PartInfo]:
    found = filter(None, map(_PART.fullmatch, sorted(os.listdir(folder))))
    return [PartInfo(int(match[1]), int(match[2]), match[3]) for match in found]
