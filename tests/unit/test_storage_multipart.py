"""Which parts make an object: S3's rules, held before a store is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.multipart import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, check_part, check_part_bytes, check_parts
from storage.objects import ObjectStoreError, PartInfo


def parts(*sizes: int) -> list[PartInfo]:
    return [PartInfo(number, size, "e") for number, size in enumerate(sizes, start=1)]


@given(st.integers(MIN_PART_BYTES, MAX_PART_BYTES), st.integers(0, MAX_PARTS - 1), st.data())
def test_equal_parts_and_a_shorter_end_make_an_object(size: int, before: int, data: st.DataObject) -> None:
    last = data.draw(st.integers(1, size))
    assert check_parts(parts(*[size] * before, last)) == size * before + last


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [MIN_PART_BYTES - 1, 1],
        [MIN_PART_BYTES, MIN_PART_BYTES + 1, 1],
        [MIN_PART_BYTES, MIN_PART_BYTES + 1],
        [MIN_PART_BYTES] * MAX_PARTS + [1],
    ],
    ids=lambda sizes: str(len(sizes)),
)
def test_other_sizes_make_none(sizes: list[int]) -> None:
    with pytest.raises(ObjectStoreError) as refused:
        check_parts(parts(*sizes))
    assert refused.value.id == "refused"


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(lambda numbers: numbers != [*range(1, len(numbers) + 1)])
)
def test_holes_repetitions_and_disorder_make_none(numbers: list[int]) -> None:
    with pytest.raises(ObjectStoreError):
        check_parts([PartInfo(number, MIN_PART_BYTES, "e") for number in numbers])


@given(st.integers(), st.integers(), st.integers(MIN_PART_BYTES, MAX_PART_BYTES))
def test_a_part_has_a_number_and_a_size_within_the_limits(number: int, size: int, part_bytes: int) -> None:
    if 1 <= number <= MAX_PARTS and 1 <= size <= part_bytes:
        check_part(number, size, part_bytes)
    else:
        with pytest.raises(ObjectStoreError):
            check_part(number, size, part_bytes)


@given(st.integers())
def test_parts_have_five_to_64_mebibytes(part_bytes: int) -> None:
    if 5 << 20 <= part_bytes <= 64 << 20:
        assert check_part_bytes(part_bytes) == part_bytes
    else:
        with pytest.raises(ObjectStoreError):
            check_part_bytes(part_bytes)


def test_ten_thousand_parts_are_the_most() -> None:
    assert check_parts(parts(*[MIN_PART_BYTES] * MAX_PARTS)) == MIN_PART_BYTES * MAX_PARTS
