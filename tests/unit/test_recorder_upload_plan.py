"""Which parts are sent, in whatever order a file grows, processes die and the store forgets."""

from hypothesis import given
from hypothesis import strategies as st

from recorder.upload_plan import HEAD, PART_BYTES, SentPart, UploadPlan
from storage.multipart import MAX_PARTS

DIGESTS = [f"digest {number}" for number in range(1, 6)]


def sent(number: int, sha256: str = "", etag: str = "") -> SentPart:
    return SentPart(number, PART_BYTES, etag or f"etag {number}", sha256 or DIGESTS[number - 1])


def plan_of(*parts: SentPart) -> UploadPlan:
    return UploadPlan(parts, [part.info() for part in parts])


def test_a_file_shorter_than_a_part_has_nothing_to_send_yet() -> None:
    assert UploadPlan().next_part(0) is None
    assert UploadPlan().next_part(PART_BYTES - 1) is None


def test_each_whole_part_is_sent_once_as_the_file_grows() -> None:
    plan = UploadPlan()
    order = []
    for size in range(0, 4 * PART_BYTES, PART_BYTES // 3):
        while (number := plan.next_part(size)) is not None:
            assert number * PART_BYTES <= size
            assert not plan.compare(number, DIGESTS[number - 1])
            plan.take(sent(number))
            order.append(number)
    assert order == [1, 2, 3]


def test_at_the_end_the_changed_head_and_what_was_not_sent_are_missing() -> None:
    plan = plan_of(sent(1), sent(2), sent(3))
    assert plan.missing(["another head", *DIGESTS[1:5]]) == [1, 4, 5]
    for number, digest in ((1, "another head"), (4, DIGESTS[3]), (5, DIGESTS[4])):
        plan.take(sent(number, digest))
    assert plan.missing(["another head", *DIGESTS[1:5]]) == []
    assert [part.number for part in plan.sent] == [1, 2, 3, 4, 5]


def test_a_file_that_differs_behind_its_head_is_another_one() -> None:
    assert plan_of(sent(1), sent(2)).missing([DIGESTS[0], "index in front", DIGESTS[2]]) is None


def test_a_file_shorter_than_what_was_sent_is_another_one() -> None:
    assert plan_of(sent(1), sent(2)).missing(DIGESTS[:1]) is None


def test_a_file_of_more_parts_than_may_be_is_put_whole() -> None:
    assert UploadPlan().missing(["x"] * MAX_PARTS) == list(range(1, MAX_PARTS + 1))
    assert UploadPlan().missing(["x"] * (MAX_PARTS + 1)) is None


def test_more_parts_than_may_be_are_not_begun() -> None:
    plan = UploadPlan()
    for number in range(1, MAX_PARTS + 1):
        plan.take(sent(number, "x"))
    assert plan.next_part((MAX_PARTS + 5) * PART_BYTES) is None


def test_after_a_kill_parts_are_compared_with_the_new_file_and_sent_if_they_differ() -> None:
    plan = plan_of(sent(1), sent(2), sent(3))
    assert plan.next_part(4 * PART_BYTES) == 2  # not the head: that of an unfinished file is another one
    assert plan.compare(2, DIGESTS[1])
    assert plan.next_part(4 * PART_BYTES) == 3
    assert not plan.compare(3, "torn by a power loss")
    assert plan.next_part(4 * PART_BYTES) == 3
    plan.take(sent(3, "torn by a power loss", "another etag"))
    assert plan.next_part(4 * PART_BYTES) == 4


def test_what_the_store_has_lost_or_has_otherwise_is_sent_again() -> None:
    remembered = [sent(1), sent(2), sent(3)]
    plan = UploadPlan(remembered, [sent(2, etag="of other bytes").info(), sent(3).info()])
    assert plan.sent == [sent(3)]
    assert plan.next_part(3 * PART_BYTES) == HEAD


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=20),
    st.sets(st.integers(1, 5)),
    st.integers(1, 5),
)
def test_an_upload_is_completed_with_the_closed_files_parts_or_not_at_all(
    history: list[tuple[int, bool]], lost: set[int], count: int
) -> None:
    """`history`: parts that were sent, right or torn; `lost`: those that the store no longer has after a kill."""
    before = UploadPlan()
    for number, right in history:
        before.take(sent(number, "" if right else "torn"))
    plan = UploadPlan(before.sent, [part.info() for part in before.sent if part.number not in lost])
    closed = DIGESTS[:count]
    missing = plan.missing(closed)
    if missing is None:
        kept = [part for part in plan.sent if part.number != HEAD]
        assert any(part.number > count or part.sha256 != closed[part.number - 1] for part in kept)
        return
    for number in missing:
        plan.take(sent(number))
    assert [part.sha256 for part in plan.sent] == closed
    assert plan.missing(closed) == []
