"""What counts as growth in a soak."""

import pytest

from bench.soak import MEMORY_BYTES, MEMORY_SHARE, POOL_FILES, WARM_UP_ROUNDS, WARM_UP_SHARE, Sample, grown

MIB = 1 << 20


def samples(*rest: tuple[int, int, int]) -> list[Sample]:
    """A warm-up that ends with 8 tasks, 16 files and 130 MiB, then these."""
    figures = [(8, 16, (128 + n) * MIB) for n in range(WARM_UP_ROUNDS)] + list(rest)
    return [Sample(11.0 * n, tasks, files, rss, n, n) for n, (tasks, files, rss) in enumerate(figures)]


def test_what_stays_has_not_grown() -> None:
    assert grown(samples((8, 16, 131 * MIB), (8, 16, 129 * MIB))) == []


def test_what_was_more_in_between_and_is_gone_has_not_grown() -> None:
    assert grown(samples((9, 18, 131 * MIB), (8, 16, 131 * MIB))) == []


@pytest.mark.parametrize(
    ("last", "word"),
    [((9, 16, 130 * MIB), "tasks"), ((8, 17 + POOL_FILES, 130 * MIB), "open files"), ((8, 16, 170 * MIB), "memory")],
)
def test_one_task_a_few_files_or_a_few_mebibytes_more_are_named(last: tuple[int, int, int], word: str) -> None:
    (problem,) = grown(samples(last))
    assert problem.startswith(word)


def test_memory_is_judged_by_the_last_rounds_together() -> None:
    limit = int((128 + WARM_UP_ROUNDS - 1) * MIB * (1 + MEMORY_SHARE)) + MEMORY_BYTES
    assert grown(samples(*[(8, 16, limit)] * 3)) == []
    assert grown(samples((8, 16, limit), (8, 16, limit + 50 * MIB), (8, 16, limit))) == []
    assert len(grown(samples(*[(8, 16, limit + 1)] * 3))) == 1


def test_a_longer_soak_has_a_longer_warm_up() -> None:
    steady = [(8, 16, 150 * MIB)] * 96
    long = samples(*steady)
    assert grown(long) == []
    late = [
        sample._replace(rss_bytes=180 * MIB) if n > WARM_UP_SHARE * len(long) else sample
        for n, sample in enumerate(long)
    ]
    assert len(grown(late)) == 1
