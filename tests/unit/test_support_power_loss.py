"""The model of a power failure keeps what was synced, and may lose everything else."""

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.power_loss import Disk, watched

CUTS = 60


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def outcomes(tmp_path: Path, work: Callable[[Path], None], look: Callable[[Path], object]) -> set[object]:
    """All that is found after many failures behind `work`."""
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    with watched(folder, tmp_path / "hold") as disk:
        work(folder)
        return {look(cut(disk, tmp_path, seed)) for seed in range(CUTS)}


def cut(disk: Disk, tmp_path: Path, seed: int) -> Path:
    into = tmp_path / f"cut-{seed}"
    disk.cut(into, random.Random(seed))
    return into


def names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(os.listdir(folder)))


def content(folder: Path) -> bytes | None:
    return (folder / "a").read_bytes() if (folder / "a").exists() else None


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "inner" / "a").write_bytes(b"old")
    assert outcomes(tmp_path, lambda folder: None, lambda cut: content(cut / "inner")) == {b"old"}


def test_a_synced_file_stays_only_if_its_folder_was_synced_too(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "a").write_bytes(b"new")
        sync(folder / "a")

    assert outcomes(tmp_path, write, content) == {None, b"new"}


def test_what_was_written_after_the_sync_is_there_in_part_or_damaged(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "a").write_bytes(b"synced")
        sync(folder / "a")
        sync(folder)
        with (folder / "a").open("ab") as file:
            file.write(b"later")

    found = outcomes(tmp_path, write, content)
    assert all(isinstance(left, bytes) and left.startswith(b"synced") for left in found)
    assert {b"synced", b"syncedlater"} < found
    assert any(b"\0" in left for left in found if isinstance(left, bytes))


def test_a_rename_that_was_not_synced_leaves_the_old_name_or_the_new_one(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "draft").write_bytes(b"1")
        sync(folder / "draft")
        sync(folder)
        (folder / "draft").rename(folder / "a")

    assert outcomes(tmp_path, write, names) == {("a",), ("draft",)}


def test_a_renamed_folder_keeps_what_is_in_it_under_either_name(tmp_path: Path) -> None:
    (tmp_path / "data" / "old").mkdir(parents=True)
    (tmp_path / "data" / "old" / "a").write_bytes(b"1")

    def look(cut: Path) -> object:
        return [(path.name, content(path)) for path in cut.iterdir()].pop()

    found = outcomes(tmp_path, lambda folder: (folder / "old").rename(folder / "new"), look)
    assert found == {("old", b"1"), ("new", b"1")}


def test_what_was_replaced_or_removed_may_come_back_whole(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        for name in ("a", "gone"):
            (folder / name).write_bytes(b"old")
            sync(folder / name)
        sync(folder)
        (folder / "new").write_bytes(b"new")
        sync(folder / "new")
        (folder / "new").replace(folder / "a")
        (folder / "gone").unlink()

    assert outcomes(tmp_path, write, content) == {b"old", b"new"}


def test_a_folder_whose_name_was_not_synced_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_bytes(b"1")
        sync(folder / "inner" / "a")
        sync(folder / "inner")

    assert outcomes(tmp_path, write, names) == {(), ("inner",)}


@pytest.mark.parametrize("number", [1, 2])
def test_it_can_fail_before_a_sync_takes_effect(tmp_path: Path, number: int) -> None:
    """The first makes the content durable, the second the name."""
    (tmp_path / "data").mkdir()
    left: set[object] = set()
    with watched(tmp_path / "data", tmp_path / "hold") as disk:

        def fail(sync: int) -> None:
            if sync == number:
                left.update(content(cut(disk, tmp_path, seed)) for seed in range(CUTS))

        disk.on_sync = fail
        (tmp_path / "data" / "a").write_bytes(b"12")
        sync(tmp_path / "data" / "a")
        sync(tmp_path / "data")
    assert disk.syncs == 2
    assert None in left
    assert (b"" in left) is (number == 1)
    assert b"12" in left


def test_a_database_is_as_of_its_last_transaction(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "db") as database:
        database.execute("CREATE TABLE numbers (number)")
    database.execute("INSERT INTO numbers VALUES (1)")
    database.commit()
    with watched(tmp_path / "data", tmp_path / "hold", ("db",)) as disk:
        database.execute("INSERT INTO numbers VALUES (2)")
        copy = sqlite3.connect(cut(disk, tmp_path, 1) / "db")
        assert copy.execute("SELECT number FROM numbers").fetchall() == [(1,)]
        copy.close()
    database.close()
