"""Parts and tails together are the file from its beginning, with no hole, whatever order they go in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import tail_plan
from recorder.tail_plan import Tail, TailPlan, is_tail, offset_of, tail_key, tails_prefix

PART = 100
KEY = "sessions/s/recordings/r/server/seg_1.webm"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_plan, "PART_BYTES", PART)


def take(plan: TailPlan, span: range | None) -> Tail:
    assert span is not None
    tail = Tail(span.start, len(span), f"of {span}")
    plan.take(tail)
    return tail


def test_each_tail_has_what_came_since_and_ends_with_the_part() -> None:
    plan = TailPlan()
    assert plan.next_range(0, 0) is None
    assert plan.next_range(0, 30) == range(30)
    first = take(plan, range(30))
    assert plan.next_range(0, 30) is None
    assert plan.next_range(0, 250) == range(30, 100)
    second = take(plan, range(30, 100))
    assert plan.needless(0) == []
    assert plan.needless(99) == [first]
    assert plan.needless(100) == [first, second]
    for tail in (first, second):
        plan.drop(tail)
    assert plan.sent == []
    assert plan.next_range(200, 250) == range(200, 250)


def test_of_a_file_that_is_made_anew_nothing_goes_again() -> None:
    remembered = [Tail(0, 30, "a"), Tail(30, 20, "b")]
    plan = TailPlan(remembered)
    for flushed in (0, 10, 50):
        assert plan.next_range(0, flushed) is None
    assert plan.to_compare(29) is None
    assert plan.to_compare(50) == remembered[0]
    plan.compared(remembered[0])
    assert plan.to_compare(49) is None
    assert plan.to_compare(50) == remembered[1]
    plan.drop(remembered[1])
    assert plan.to_compare(50) is None
    assert plan.next_range(0, 50) == range(30, 50)


@given(st.lists(st.tuples(st.integers(0, 120), st.sampled_from(["tail", "part", "drop", "restart"])), max_size=40))
def test_what_was_flushed_when_a_tail_went_is_all_in_the_store(steps: list[tuple[int, str]]) -> None:
    plan, flushed, stored = TailPlan(), 0, 0
    for grown, step in steps:
        flushed += grown
        if step == "part" and stored + PART <= flushed:
            stored += PART
        elif step == "drop":
            for tail in plan.needless(stored):
                plan.drop(tail)
        elif step == "restart":
            plan = TailPlan(plan.sent)
        elif step == "tail":
            span = plan.next_range(stored, flushed)
            if span is not None:
                assert span.start // PART == (span.stop - 1) // PART
                take(plan, span)
            reached = stored
            for tail in plan.sent:
                if tail.offset <= reached:
                    reached = max(reached, tail.end)
            assert reached >= min(flushed, (stored // PART + 1) * PART)


def test_keys_are_in_the_order_of_their_places_and_told_from_others() -> None:
    keys = [tail_key(KEY, offset) for offset in (0, 9, 10, 8 << 20, 78 << 30)]
    assert keys == sorted(keys)
    assert [offset_of(key) for key in keys] == [0, 9, 10, 8 << 20, 78 << 30]
    assert all(is_tail(key) and key.startswith(tails_prefix(KEY)) for key in keys)
    for other in (KEY, "a.tail/x", "a/000", "seg_1.tail", ""):
        assert not is_tail(other)
