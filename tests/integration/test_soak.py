"""A minute of joining, leaving, looking, losing and recording through the real program: nothing grows."""

from pathlib import Path

import pytest

from bench.soak import WARM_UP_ROUNDS, grown, soak

SECONDS = 45.0


@pytest.mark.pain("22")
async def test_after_everybody_left_tasks_files_and_memory_are_what_they_were(tmp_path: Path) -> None:
    samples = await soak(tmp_path, SECONDS)
    assert len(samples) > WARM_UP_ROUNDS
    assert samples[-1].joins > 2 * len(samples), "people came"
    assert samples[-1].delivered > 1000, "and media passed"
    assert grown(samples) == [], samples
