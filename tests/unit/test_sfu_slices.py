"""Regular work in slices, in virtual time."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.slices import SLICE_S, Slices


class Loop:
    """An event loop whose callbacks take the time that the work says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Callable[[], None]] = []
        self.slices = Slices(self.waiting.append, lambda: self.now)
        self.done: list[str] = []

    def work(self, name: str, count: int, each_s: float) -> Iterator[None]:
        for number in range(count):
            self.now += each_s
            self.done.append(f"{name}{number}")
            yield

    def turn(self) -> None:
        waiting, self.waiting[:] = list(self.waiting), []
        for call in waiting:
            call()


def test_what_takes_no_time_is_done_at_once() -> None:
    loop = Loop()
    loop.slices.begin(loop.work("a", 100, SLICE_S / 200))
    assert len(loop.done) == 100
    assert loop.waiting == []


def test_a_slice_ends_after_its_time_and_the_rest_comes_in_the_next_turns() -> None:
    loop = Loop()
    loop.slices.begin(loop.work("a", 10, SLICE_S / 4))
    assert loop.done == ["a0", "a1", "a2", "a3"]
    loop.turn()
    assert len(loop.done) == 8
    loop.turn()
    assert len(loop.done) == 10
    assert loop.waiting == []


def test_what_is_left_is_done_before_the_next_work_begins() -> None:
    loop = Loop()
    loop.slices.begin(loop.work("a", 3, SLICE_S))
    loop.slices.begin(loop.work("b", 3, SLICE_S))
    assert loop.done == ["a0", "a1", "a2"]
    assert len(loop.waiting) == 1, "only one is under way"
    loop.turn()
    assert loop.done[3:] == ["b0"]


def test_after_a_stop_nothing_more_is_done() -> None:
    loop = Loop()
    loop.slices.begin(loop.work("a", 3, SLICE_S))
    loop.slices.stop()
    loop.turn()
    assert loop.done == ["a0"]


def test_work_that_fails_says_so_and_the_next_is_done() -> None:
    loop = Loop()

    def broken() -> Iterator[None]:
        yield from loop.work("a", 1, SLICE_S)
        raise ValueError("broken")

    loop.slices.begin(broken())
    (again,) = loop.waiting
    loop.waiting.clear()
    with pytest.raises(ValueError, match="broken"):
        again()
    loop.slices.begin(loop.work("b", 2, SLICE_S / 10))
    assert loop.done == ["a0", "b0", "b1"]


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 0.3, 1.0, 3.0]), st.integers(0, 6)), max_size=8))
def test_everything_is_done_once_and_in_order_and_a_turn_takes_little_longer_than_a_slice(
    works: list[tuple[int, float, int]],
) -> None:
    loop = Loop()
    expected: list[str] = []
    for place, (count, share, turns) in enumerate(works):
        name = f"{place}-"
        expected += [f"{name}{number}" for number in range(count)]
        loop.slices.begin(loop.work(name, count, share * SLICE_S))
        for _ in range(turns):
            before = loop.now
            loop.turn()
            assert loop.now - before <= (1 + max((share for _, share, _ in works), default=0.0)) * SLICE_S
    while loop.waiting:
        loop.turn()
    assert loop.done == expected
