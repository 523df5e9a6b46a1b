"""A quota for journals is a disk of that size: recordings end whole, and begin again when journals are deleted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.full_disk import recorded
from tests.support.studio import Studio, start_studio

QUOTA_BYTES = 3 << 20


@pytest.fixture
async def quota(tmp_path: Path) -> AsyncIterator[Studio]:
    """Journals are deleted as soon as their files are stored."""
    settings = {"recorder": {"spool_bytes": QUOTA_BYTES, "keep_journal_days": 0.0}}
    async with start_studio(tmp_path, settings) as running:
        yield running


async def test_what_exceeds_the_quota_ends_whole_and_makes_place_for_the_next(quota: Studio, tmp_path: Path) -> None:
    async with recorded(quota) as call:
        first = await call.start()
        await call.ended_by_disk(first)
        assert await call.refusal() == (507, "spool_full")
        await call.goes_on()
        await call.whole(first, tmp_path / "first")
        await call.told("ok")
        second = await call.start()
        await call.goes_on(150)
        await call.stop(second)
        await call.whole(second, tmp_path / "second")
