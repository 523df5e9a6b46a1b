"""A track's journal goes by its own file alone; what no file was made from stays; events go last."""

import os
import random
from pathlib import Path

import msgspec
import pytest

from recorder.manifest import Segment
from recorder.memo import Delivered
from recorder.retention import DAY_S, EVENTS_KEPT_DAYS, expire_recording, expire_tracks, remove_doomed
from tests.support.power_loss import watched

NOW_S = 2_000_000_000.0
EVENTS = "events-0000000000000001.journal"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    (tmp_path / "work").mkdir()
    for name in (EVENTS, *(f"seg_{letter}-0000000000000001.journal" for letter in "abcd")):
        (folder / name).touch()
    os.utime(folder / EVENTS, (NOW_S, NOW_S))
    return folder


def remember(work: Path, segment_id: str, days_ago: float, state: str = "stored") -> None:
    segment = Segment(segment_id=segment_id, copy="server", state=state)
    memo = Delivered("tak_1", segment, NOW_S - days_ago * DAY_S)
    (work / f"{segment_id}.json").write_bytes(msgspec.json.encode(memo))


def names(spool: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in spool.iterdir())


def test_a_track_journal_goes_when_its_own_file_was_stored_long_enough_ago(spool: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    remember(work, "seg_a", 8)
    remember(work, "seg_b", 6)
    (work / "seg_c.json").write_bytes(b"torn")
    assert expire_tracks(spool, work, 7, NOW_S) == (1, 2)
    assert names(spool) == ["events", "seg_b", "seg_c", "seg_d"]
    assert not expire_recording(spool, work, 7, True, NOW_S + 1_000 * DAY_S), "journals without a file are left"
    assert "events" in names(spool)


@pytest.mark.parametrize(("complete", "days"), [(True, 7), (False, EVENTS_KEPT_DAYS)])
def test_events_stay_longer_while_a_local_copy_is_unfinished(
    spool: Path, tmp_path: Path, complete: bool, days: float
) -> None:
    work = tmp_path / "work"
    for letter in "abcd":
        remember(work, f"seg_{letter}", 8)
    assert expire_tracks(spool, work, 7, NOW_S) == (4, 0)
    assert not expire_recording(spool, work, 7, complete, NOW_S + days * DAY_S)
    assert expire_recording(spool, work, 7, complete, NOW_S + days * DAY_S + 1)
    assert not spool.exists()
    assert not work.exists()


def test_a_power_failure_leaves_all_of_a_recording_or_nothing_that_is_worked_on(tmp_path: Path) -> None:
    """Events without their tracks' memos once made a manifest without files, which replaced the good one."""
    spool, work = tmp_path / "data" / "spool" / "rec_a", tmp_path / "data" / "work" / "rec_a"
    spool.mkdir(parents=True)
    work.mkdir(parents=True)
    for name in (EVENTS, EVENTS.replace("1.", "2.")):
        (spool / name).touch()
        os.utime(spool / name, (NOW_S, NOW_S))
    remember(work, "seg_a", 8)
    with watched(tmp_path / "data", tmp_path / "hold") as disk:
        cuts = []

        def cut(_: int = 0) -> None:
            for seed in range(20):
                cuts.append(tmp_path / f"cut-{len(cuts)}")
                disk.cut(cuts[-1], random.Random(seed))

        disk.on_sync = cut
        assert expire_recording(spool, work, 7, True, NOW_S + 8 * DAY_S)
        cut()
    whole = 0
    for left in cuts:
        if (left / "spool" / "rec_a").exists():
            assert len(os.listdir(left / "spool" / "rec_a")) == 2
            assert os.listdir(left / "work" / "rec_a") == ["seg_a.json"]
            whole += 1
        remove_doomed(left / "spool", left / "work")
        assert os.listdir(left / "spool") in ([], ["rec_a"])
    assert 0 < whole < 20
