"""The spool's disk as it is seen: what is free, what is used, and the file that holds room back for ends."""

import errno
import os
import threading
from pathlib import Path

import pytest

from recorder import space, space_watch
from recorder.settings import RecorderSettings
from recorder.space import SpaceState
from recorder.space_watch import RESERVE_BYTES, RESERVE_NAME, SpaceReport, SpaceWatch

MIB = 1 << 20
TOTAL = 1_000 * MIB
PATIENCE_S = 10.0
SETTINGS = RecorderSettings(reserve_bytes=100 * MIB, reserve_share=0.0)


class Disk:
    """What `os.statvfs` says; the reserve file takes of it what it really has."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.free = TOTAL
        self.read_only = False
        self.broken = False
        self.refuses_files = False

    def statvfs(self, path: Path) -> os.statvfs_result:
        assert Path(path) == self.spool
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        reserve = self.spool / RESERVE_NAME
        free = max(0, self.free - (reserve.stat().st_size if reserve.exists() else 0))
        flags = os.ST_RDONLY if self.read_only else 0
        return os.statvfs_result((4096, 1, TOTAL, free, free, 0, 0, 0, flags, 255))

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        if self.refuses_files or self.free < length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(fd, offset + length)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path / "spool")
    made.spool.mkdir()
    monkeypatch.setattr(os, "statvfs", made.statvfs)
    monkeypatch.setattr(os, "posix_fallocate", made.fallocate)
    monkeypatch.setattr(space, "HOLD_S", 0.0)
    return made


class Refusals:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        return self.count


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest.fixture
def watch(disk: Disk, refusals: Refusals) -> SpaceWatch:
    return SpaceWatch(disk.spool.parent, SETTINGS, refusals)


def settled(watch: SpaceWatch) -> SpaceState:
    """Getting better takes a look that begins the wait and one that ends it."""
    watch.look()
    return watch.look().state


def test_the_reserve_is_made_given_up_when_full_and_made_again(watch: SpaceWatch, disk: Disk) -> None:
    reserve = disk.spool / RESERVE_NAME
    assert watch.look().state is SpaceState.OK
    assert reserve.stat().st_size == RESERVE_BYTES
    assert reserve.stat().st_mode & 0o777 == 0o600
    disk.free = 10 * MIB
    assert watch.look().state is SpaceState.FULL
    assert not reserve.exists()
    disk.free = TOTAL
    assert settled(watch) is SpaceState.OK
    assert reserve.stat().st_size == RESERVE_BYTES


def test_giving_the_reserve_up_frees_nothing_for_recordings(disk: Disk, refusals: Refusals) -> None:
    """Else the state would change to and fro: the reserve is larger here than what is wanted free."""
    watch = SpaceWatch(disk.spool.parent, RecorderSettings(reserve_bytes=8 * MIB, reserve_share=0.0), refusals)
    assert watch.look().state is SpaceState.OK
    disk.free = RESERVE_BYTES + 1 * MIB
    for _ in range(5):
        assert watch.look() == SpaceReport(SpaceState.FULL, 1 * MIB, 0)
        assert not (disk.spool / RESERVE_NAME).exists()


def test_a_refused_write_is_a_full_disk_once(watch: SpaceWatch, disk: Disk, refusals: Refusals) -> None:
    assert watch.look().state is SpaceState.OK
    refusals.count += 3
    assert watch.look().state is SpaceState.FULL
    assert settled(watch) is SpaceState.OK


def test_a_disk_that_has_space_and_takes_no_file_stays_full(watch: SpaceWatch, disk: Disk) -> None:
    disk.refuses_files = True
    for _ in range(4):
        assert watch.look().state is SpaceState.FULL
        assert not (disk.spool / RESERVE_NAME).exists()
    disk.refuses_files = False
    assert settled(watch) is SpaceState.OK


def test_half_a_reserve_is_none(watch: SpaceWatch, disk: Disk) -> None:
    """A crash while it was made."""
    (disk.spool / RESERVE_NAME).write_bytes(bytes(100))
    watch.look()
    assert (disk.spool / RESERVE_NAME).stat().st_size == RESERVE_BYTES


def test_a_read_only_disk_is_full(watch: SpaceWatch, disk: Disk) -> None:
    disk.read_only = True
    assert watch.look().state is SpaceState.FULL


def test_a_disk_that_cannot_be_asked_is_full(watch: SpaceWatch, disk: Disk) -> None:
    disk.broken = True
    assert watch.look().state is SpaceState.FULL


def test_journals_and_files_in_work_are_used_space_and_the_reserve_is_not(watch: SpaceWatch, disk: Disk) -> None:
    work = disk.spool.parent / "work"
    for folder, size in ((disk.spool / "rec_a", 1000), (work / "rec_a", 300), (work / "rec_a" / "below", 40)):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(size))
    (disk.spool / "elsewhere").symlink_to("/usr")
    report = watch.look()
    assert (disk.spool / RESERVE_NAME).exists()
    link = (disk.spool / "elsewhere").lstat().st_size
    assert report.used_bytes == 1340 + link
    assert report.free_bytes == TOTAL - RESERVE_BYTES


def test_its_thread_reports_until_it_is_closed(watch: SpaceWatch, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_watch, "LOOK_S", 0.001)
    reports: list[SpaceReport] = []
    full, better = threading.Event(), threading.Event()

    def seen(report: SpaceReport) -> None:
        reports.append(report)
        (full if report.state is SpaceState.FULL else better).set()

    watch.look()
    watch.start(seen)
    disk.free = 0
    assert full.wait(PATIENCE_S)
    better.clear()
    disk.free = TOTAL
    assert better.wait(PATIENCE_S)
    watch.close()
    count = len(reports)
    assert not [thread for thread in threading.enumerate() if thread.name == "spool-space"]
    assert len(reports) == count
