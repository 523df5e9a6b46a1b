"""Rate limit, capture progress and session clock, in virtual time."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from signaling.capture_progress import MAX_MISSING_LISTED, CaptureProgress
from signaling.clock import SessionClock
from signaling.limits import TokenBucket
from storage.models import Session


class Hands:
    """Clocks that stand where a test puts them."""

    def __init__(self, boot_id: str, monotonic_ns: int, wall_ns: int) -> None:
        self.boot_id = boot_id
        self.monotonic = monotonic_ns
        self.wall = wall_ns

    def monotonic_ns(self) -> int:
        return self.monotonic

    def wall_ns(self) -> int:
        return self.wall


def a_session() -> Session:
    return Session(
        id="ses_aaaaaaaaaaaaaaaa",
        title="",
        host_secret_hash="",
        max_participants=2,
        created_at=datetime.now(UTC),
        clock_zero_wall_ns=1_000_000,
        clock_zero_monotonic_ns=500,
        clock_boot_id="first",
    )


def test_a_bucket_allows_its_burst_at_once_and_its_rate_afterwards() -> None:
    bucket = TokenBucket(50.0, 200, now=0.0)
    assert sum(bucket.take(0.0) for _ in range(300)) == 200
    assert sum(bucket.take(1.0) for _ in range(300)) == 50


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(50.0, 200, now=0.0)
    assert sum(bucket.take(1e6) for _ in range(300)) == 200


def test_time_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1, now=10.0)
    assert bucket.take(10.0)
    assert not bucket.take(9.0)


def test_only_the_run_of_chunks_from_the_first_one_is_safe() -> None:
    progress = CaptureProgress()
    progress.verified(1, 10, 2000.0)
    assert (progress.verified_bytes, progress.safe_ms) == (10, 0.0)
    progress.verified(0, 5, 1000.0)
    assert (progress.verified_bytes, progress.safe_ms) == (15, 2000.0)


def test_a_chunk_confirmed_twice_counts_once() -> None:
    progress = CaptureProgress()
    progress.verified(0, 5, 1000.0)
    progress.verified(0, 5, 1000.0)
    assert progress.verified_bytes == 5


def test_the_list_of_missing_chunks_is_bounded() -> None:
    progress = CaptureProgress()
    progress.verified(1, 1, 1.0)
    assert progress.missing(3) == [0, 2]
    assert len(progress.missing(100_000)) == MAX_MISSING_LISTED


@given(st.permutations(list(range(12))), st.integers(0, 12))
def test_the_order_of_confirmations_does_not_matter(order: list[int], count: int) -> None:
    progress = CaptureProgress()
    for index in order[:count]:
        progress.verified(index, 1, float(index + 1))
    done = set(order[:count])
    assert progress.missing(12) == [index for index in range(12) if index not in done]
    assert progress.beyond(6) == sum(index >= 6 for index in done)
    first_hole = next((index for index in range(12) if index not in done), 12)
    assert progress.safe_ms == float(first_hole)


def test_on_the_same_boot_the_session_clock_ignores_steps_of_the_wall_clock() -> None:
    hands = Hands("first", 500, 1_000_000)
    clock = SessionClock(a_session(), hands)
    hands.monotonic, hands.wall = 2_500, 99_000_000_000
    assert clock.now_ns() == 2_000
    assert clock.zero_monotonic_ns == 500


def test_after_a_reboot_the_session_clock_goes_on_by_the_wall_clock() -> None:
    hands = Hands("second", 100, 1_700_000)
    clock = SessionClock(a_session(), hands)
    assert clock.now_ns() == 700_000
    hands.monotonic += 50
    hands.wall += 1_000_000_000
    assert clock.now_ns() == 700_050
    assert clock.zero_monotonic_ns < 0
