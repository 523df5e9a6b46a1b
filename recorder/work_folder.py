"""A recording's small files in its work folder: what is remembered of segments, what was written last. Blocking.

Each file is there whole or not at all, and durable, or is written later: losing one costs work, nothing else.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from recorder.memo import Delivered, decode
from storage.files import fsync_folder

log = structlog.get_logger()

RETRY_S = 15.0
"""Before files that could not be written are tried again."""


class WorkFolder:
    def __init__(self, path: Path) -> None:
        """It is made when the first file is written."""
        self.path = path
        self._unsaved: dict[str, bytes] = {}
        """By name; a later content of a file replaces an earlier one."""
        self._save_at_s = 0.0

    @property
    def saved(self) -> bool:
        """Everything is durable: a journal is deleted because its memo is there."""
        return not self._unsaved

    def read(self, name: str) -> bytes:
        """Empty where there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return b""

    def write(self, name: str, data: bytes) -> bool:
        """Now, or later when the disk fails: whether it is durable."""
        self._unsaved[name] = data
        self._save_at_s = 0.0
        self.save(time.monotonic())
        return self.saved

    def save(self, now_s: float) -> None:
        """What could not be written before, when its time has come. `now_s`: monotonic."""
        if self.saved or now_s < self._save_at_s:
            return
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, data in self._unsaved.items():
                draft = self.path / f"{name}.draft"
                with draft.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, self.path / name)
            for folder in (self.path, *self.path.parents[:2]):
                fsync_folder(folder)
            self._unsaved.clear()
        except OSError as error:
            self._save_at_s = now_s + RETRY_S
            log.error("memo_not_written", names=sorted(self._unsaved), reason=str(error), retry_s=RETRY_S)

    def remember(self, done: Delivered) -> None:
        """Failures are not remembered: the next process tries again."""
        if done.segment.state == "stored":
            self.write(f"{done.segment.segment_id}.json", msgspec.json.encode(done))

    def remembered(self, segment_id: str) -> Delivered | None:
        """None too for a memo that a power failure damaged."""
        data = self.read(f"{segment_id}.json")
        try:
            return decode(data) if data else None
        except msgspec.MsgspecError as error:
            log.warning("memo_unreadable", segment_id=segment_id, reason=str(error))
            return None

    def all_remembered(self) -> Iterator[tuple[str, Delivered]]:
        """By segment id."""
        for path in sorted(self.path.glob("seg_*.json")):
            if "." not in path.stem and (done := self.remembered(path.stem)) is not None:
                yield path.stem, done
