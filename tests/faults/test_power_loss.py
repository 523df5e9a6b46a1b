"""A power failure at any moment costs at most what was not synced: `make chaos` has it with 50 moments."""

from pathlib import Path

import pytest

from bench.power_loss import lose


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_synced_is_in_a_file_or_counted_and_a_second_run_changes_nothing(
    seed: int, tmp_path: Path
) -> None:
    loss = await lose(tmp_path, seed)
    assert loss.problems == [], loss
    assert loss.given >= loss.account.journalled >= loss.synced
    assert loss.account.missing == 0
