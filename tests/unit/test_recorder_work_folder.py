import errno
import os
import time
from pathlib import Path

import pytest

from recorder.manifest import Segment
from recorder.memo import Delivered
from recorder.work_folder import RETRY_S, WorkFolder
from storage.files import fsync_folder

SEGMENT_ID = "seg_aaaaaaaaaaaaaaaa"


def stored(segment_id: str = SEGMENT_ID, state: str = "stored") -> Delivered:
    segment = Segment(segment_id=segment_id, copy="server", state=state, codec="opus", content_type="audio/webm")
    return Delivered("tak_aaaaaaaaaaaaaaaa", segment, 12.5)


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    return WorkFolder(tmp_path / "work" / "rec_aaaaaaaaaaaaaaaa")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While it has an element every sync of a folder fails."""
    fails = [True]

    def sync(path: Path) -> None:
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync_folder(path)

    monkeypatch.setattr("recorder.work_folder.fsync_folder", sync)
    return fails


def test_what_is_written_is_there_and_nothing_else(folder: WorkFolder) -> None:
    assert folder.read("manifest.json") == b""
    assert not folder.path.exists()
    assert folder.write("manifest.json", b"{}")
    assert folder.saved
    assert folder.read("manifest.json") == b"{}"
    assert folder.write("manifest.json", b"[]")
    assert WorkFolder(folder.path).read("manifest.json") == b"[]"
    assert [path.name for path in folder.path.iterdir()] == ["manifest.json"]


def test_what_the_disk_does_not_take_is_written_later_with_its_newest_content(
    folder: WorkFolder, broken: list[bool]
) -> None:
    assert not folder.write("manifest.json", b"1")
    assert not folder.write("manifest.json", b"2")
    assert not folder.write("report.json", b"3")
    broken.clear()
    folder.save(0.0)
    assert not folder.saved, "its time has not come"
    folder.save(float("inf"))
    assert folder.saved
    assert (folder.read("manifest.json"), folder.read("report.json")) == (b"2", b"3")


def test_it_is_tried_again_once_in_a_while(folder: WorkFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def fail(path: Path) -> None:
        tries.append(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("recorder.work_folder.fsync_folder", fail)
    before_s = time.monotonic()
    folder.write("manifest.json", b"1")
    after_s = time.monotonic()
    for now_s in (after_s, before_s + 0.9 * RETRY_S, after_s + RETRY_S, after_s + 1.9 * RETRY_S):
        folder.save(now_s)
    assert len(tries) == 2


def test_a_stored_segment_is_remembered_by_the_next_process(folder: WorkFolder) -> None:
    folder.remember(stored())
    assert WorkFolder(folder.path).remembered(SEGMENT_ID) == stored()
    assert folder.remembered("seg_bbbbbbbbbbbbbbbb") is None


@pytest.mark.parametrize("state", ["failed", "finishing", "capturing"])
def test_what_is_not_stored_is_not_remembered(folder: WorkFolder, state: str) -> None:
    folder.remember(stored(state=state))
    assert folder.remembered(SEGMENT_ID) is None
    assert not folder.path.exists()


@pytest.mark.parametrize("damaged", [b"{", b"null", b"\0" * 100, b'{"take_id":1}'])
def test_a_damaged_memo_is_none(folder: WorkFolder, damaged: bytes) -> None:
    folder.write(f"{SEGMENT_ID}.json", damaged)
    folder.remember(stored("seg_bbbbbbbbbbbbbbbb"))
    assert folder.remembered(SEGMENT_ID) is None
    assert list(folder.all_remembered()) == [("seg_bbbbbbbbbbbbbbbb", stored("seg_bbbbbbbbbbbbbbbb"))]


def test_other_files_of_a_segment_are_not_memos(folder: WorkFolder) -> None:
    folder.remember(stored())
    for name in (f"{SEGMENT_ID}.redacted.json", f"{SEGMENT_ID}.upload.json", "manifest.json"):
        folder.write(name, b"{}")
    assert [segment_id for segment_id, _ in folder.all_remembered()] == [SEGMENT_ID]
