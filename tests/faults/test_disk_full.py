"""A disk that fills up costs no file and no call: recordings end whole, and begin again when there is space."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import small_disk
from tests.support.full_disk import recorded
from tests.support.small_disk import SmallDisk
from tests.support.studio import Studio, start_studio

MIB = 1 << 20
DISK_BYTES = 64 * MIB
RESERVE_BYTES = 12 * MIB
LOW_BYTES = 6 * MIB
"""Free: less than the reserve, more than a quarter of it."""


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Studio]:
    """All that the program keeps is on a disk of DISK_BYTES."""
    settings = {"recorder": {"reserve_bytes": RESERVE_BYTES, "reserve_share": 0.0}}
    async with start_studio(tmp_path, settings, small_disk.under(tmp_path / "data", DISK_BYTES)) as running:
        yield running


@pytest.fixture
def disk(small: Studio) -> SmallDisk:
    return SmallDisk(small.pid, small.data)


async def test_on_a_full_disk_a_recording_ends_whole_and_another_begins_when_it_was_freed(
    small: Studio, disk: SmallDisk, tmp_path: Path
) -> None:
    async with recorded(small) as call:
        first = await call.start()
        await call.goes_on(150)
        disk.fill()
        await call.ended_by_disk(first)
        await call.told("full")
        assert await call.refusal() == (507, "spool_full")
        assert any("no space for recordings" in alarm for alarm in await call.alarms())
        await call.goes_on()
        await call.whole(first, tmp_path / "first")
        disk.clear()
        await call.told("ok")
        second = await call.start()
        await call.goes_on(150)
        await call.stop(second)
        await call.whole(second, tmp_path / "second")
        assert await call.alarms() == []


async def test_where_somebody_else_takes_whatever_is_given_up_the_file_is_late_and_whole(
    small: Studio, disk: SmallDisk, tmp_path: Path
) -> None:
    async with recorded(small) as call:
        recording = await call.start()
        await call.goes_on(150)
        with disk.kept_full():
            await call.ended_by_disk(recording)
            await call.goes_on(150)
            assert await call.refusal() == (507, "spool_full")
            assert small.events("recording_finished") == []
        disk.clear()
        await call.whole(recording, tmp_path / "files")
        await call.told("ok")
        await call.stop(await call.start())


async def test_on_a_disk_that_is_nearly_full_nothing_new_begins_and_what_runs_goes_on(
    small: Studio, disk: SmallDisk, tmp_path: Path
) -> None:
    async with recorded(small) as call, recorded(small) as other:
        running = await call.start()
        disk.fill(leave_bytes=LOW_BYTES)
        await call.told("low")
        await other.told("low")
        assert await other.refusal() == (507, "spool_full")
        assert any("new ones are refused" in alarm for alarm in await call.alarms())
        await call.goes_on(150)
        await call.stop(running)
        evidence = await call.whole(running, tmp_path / "files")
        assert evidence.stopped_s - evidence.started_s > 3
        disk.clear()
        await other.told("ok")
        await other.stop(await other.start())
