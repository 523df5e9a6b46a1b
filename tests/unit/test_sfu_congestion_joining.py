"""Reports that tell nothing new wait for others; nothing they say is lost, and what tells something is read at once."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.congestion import joining
from sfu.congestion.estimator import BandwidthEstimator
from sfu.congestion.feedback import MAX_COVERED, TransportFeedback
from sfu.congestion.joining import MAX_TICKS, WAIT_S, JoinedReports, is_whole, join
from sfu.congestion.sent import Outcome, SentLog
from tests.support.network_model import Conditions, Network
from tests.support.viewer_model import Media, Viewer


def whole(base: int, ticks: list[int], reference: int = 0, number: int = 0) -> TransportFeedback:
    return TransportFeedback(
        base & 0xFFFF, len(ticks), number & 0xFF, reference & 0xFFFFFF, ((0, ticks),), ticks == sorted(ticks)
    )


def lossy(base: int, reference: int = 0) -> TransportFeedback:
    return TransportFeedback(base & 0xFFFF, 4, 0, reference, ((0, [1, 2]), (3, [3])), True)


# --- two reports


def test_one_report_says_what_two_said() -> None:
    joined = join(whole(10, [1, 5, 9], 7, 1), whole(13, [0, 2], 8, 2))
    assert joined == whole(10, [1, 5, 9, 256, 258], 7, 2)


def test_both_numbers_may_begin_again() -> None:
    joined = join(whole(0xFFFE, [1, 5], 0xFFFFFF), whole(0, [0, 2], 0))
    assert joined == whole(0xFFFE, [1, 5, 256, 258], 0xFFFFFF)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(whole(14, [0], 8), id="one between is missing"),
        pytest.param(whole(12, [0], 8), id="told again"),
        pytest.param(whole(13, [8], 7), id="came before"),
        pytest.param(whole(13, [300], 6), id="clock stepped back"),
        pytest.param(whole(13, [0], 7 + MAX_TICKS // 256 + 1), id="long after"),
        pytest.param(whole(13, [5, 4], 8), id="not in order"),
        pytest.param(lossy(13, 8), id="not everything arrived"),
        pytest.param(TransportFeedback(13, 2, 0, 8, (), True), id="nothing arrived"),
        pytest.param(whole(13, [0] * (MAX_COVERED - 2), 8), id="too many"),
    ],
)
def test_what_does_not_go_on_stays_apart(second: TransportFeedback) -> None:
    assert join(whole(10, [1, 5, 9], 7), second) is None


def told(outcomes: list[Outcome]) -> tuple[int, int, int, int]:
    return (
        sum(outcome.octets for outcome in outcomes),
        sum(outcome.received for outcome in outcomes),
        sum(outcome.lost for outcome in outcomes),
        sum(arrival[5] for outcome in outcomes for arrival in outcome.arrivals),
    )


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40)), min_size=1, max_size=30),
    st.sets(st.integers(1, 270), max_size=8),
)
def test_the_log_of_what_was_sent_finds_the_same_in_one_as_in_several(
    runs: list[tuple[int, int]], cuts: set[int]
) -> None:
    """Reports cut the packets anywhere, in the middle of a run as well."""
    apart, together = SentLog(), SentLog()
    arrivals: list[int] = []
    now = 1.0
    for count, wait_ms in runs:
        for log in (apart, together):
            log.note(count, 100 * count, now)
        arrivals += [int((now + 0.02) * 4000)] * count
        now += wait_ms / 1000
    ends = [0, *sorted(cut for cut in cuts if cut < len(arrivals)), len(arrivals)]
    reports = []
    for begin, end in pairwise(ends):
        reference = arrivals[begin] // 256
        reports.append(whole(begin, [tick - 256 * reference for tick in arrivals[begin:end]], reference))
    outcomes = [apart.resolve(report, now) for report in reports]
    joined = reports[0]
    singles: list[Outcome] = []
    for report in reports[1:]:
        both = join(joined, report)
        if both is None:  # further apart than MAX_TICKS
            singles.append(together.resolve(joined, now))
            joined = report
        else:
            joined = both
    singles.append(together.resolve(joined, now))
    for log, found in ((apart, outcomes), (together, singles)):  # a report of old age settles what came in part
        found.append(log.resolve(TransportFeedback(log.note(1, 100, now + 20), 1, 0, 0, (), True), now + 20))
    assert told(outcomes) == told(singles)


# --- waiting


def test_a_report_that_cannot_wait_is_read_at_once_with_what_waits() -> None:
    reports = JoinedReports()
    assert reports.add(whole(0, [1, 2]), 1.0, can_wait=True) == []
    assert reports.add(whole(2, [3]), 1.1, can_wait=False) == [(whole(0, [1, 2, 3]), 1.1)]
    assert reports.add(lossy(3), 1.15, can_wait=False) == [(lossy(3), 1.15)]


def test_what_does_not_go_on_is_read_behind_what_waits() -> None:
    reports = JoinedReports()
    assert reports.add(whole(0, [1, 2]), 1.0, can_wait=True) == []
    assert reports.add(whole(5, [3]), 1.1, can_wait=True) == [(whole(0, [1, 2]), 1.0)], "the new one waits instead"
    assert reports.add(lossy(6), 1.2, can_wait=False) == [(whole(5, [3]), 1.1), (lossy(6), 1.2)]


def test_none_waits_longer_than_its_time() -> None:
    reports = JoinedReports()
    read = [len(reports.add(whole(n, [n]), 1 + n * 0.06, can_wait=True)) for n in range(12)]
    assert read == [0, 0, 0, 0, 0, 1] * 2


def test_the_last_one_does_not_wait_for_another_for_ever() -> None:
    reports = JoinedReports()
    assert reports.take_old(1.0) == []
    assert reports.add(whole(0, [1]), 1.0, can_wait=True) == []
    assert reports.add(whole(1, [2]), 1.1, can_wait=True) == []
    assert reports.take_old(1.0 + WAIT_S - 0.01) == []
    assert reports.take_old(1.0 + WAIT_S) == [(whole(0, [1, 2]), 1.1)]
    assert reports.take_old(9.0) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["next", "gap", "again", "lossy"]), st.floats(0.0, 0.4), st.booleans()), max_size=60
    )
)
def test_everything_is_read_once_in_order_and_in_time(steps: list[tuple[str, float, bool]]) -> None:
    reports = JoinedReports()
    now, base = 1.0, 0
    came: list[tuple[int, float]] = []
    """First number and time of each."""
    read: list[tuple[int, float, float]] = []
    """First number of each, said to have come then, and read then."""
    for kind, wait_s, can_wait in steps:
        now += wait_s
        base += {"next": 0, "gap": 3, "again": -1, "lossy": 0}[kind]
        reference = int(now * 4000) // 256
        report = lossy(base, reference) if kind == "lossy" else whole(base, [int(now * 4000) % 256], reference)
        came.append((base & 0xFFFF, now))
        ready = reports.take_old(now) + reports.add(report, now, can_wait=can_wait and is_whole(report))
        for joined, at in ready:
            read += [(joined.base + n & 0xFFFF, at, now) for n in range(joined.count if is_whole(joined) else 1)]
        base += report.count
    ready = reports.take_old(now + WAIT_S + 1e-6)
    read += [(joined.base + n & 0xFFFF, at, now + WAIT_S) for joined, at in ready for n in range(joined.count)]
    # A lossy report is one of four numbers: it stands for itself by its first.
    assert [number for number, _, _ in read] == [number for number, _ in came]
    for (_, arrived), (_, said, _) in zip(came, read, strict=True):
        assert arrived <= said <= arrived + WAIT_S


# --- how long packets took


def test_the_delay_is_the_lower_of_the_first_and_the_last_packet() -> None:
    log = SentLog()
    log.note(2, 200, 1.0)
    log.note(1, 100, 1.1)
    assert log.least_delay_s(whole(0, [40, 60, 600], 16)) == pytest.approx((16 * 256 + 40) / 4000 - 1.0)
    assert log.least_delay_s(whole(0, [400, 420, 430], 16)) == pytest.approx((16 * 256 + 430) / 4000 - 1.1)


def test_what_was_never_sent_or_is_forgotten_took_for_ever() -> None:
    log = SentLog()
    assert log.least_delay_s(whole(0, [1])) == float("inf")
    log.note(2, 200, 1.0)
    assert log.least_delay_s(whole(1, [1, 2])) == float("inf"), "one more than was sent"
    log.resolve(whole(0, [1, 2]), 1.1)
    log.note(1, 100, 1.2)
    assert log.least_delay_s(whole(1, [1, 2])) == float("inf"), "the first has been reported"
    assert log.least_delay_s(whole(2, [1])) < 0


# --- the estimator


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Packets of each report that was read."""
    read: list[int] = []
    resolve = SentLog.resolve

    def noted(log: SentLog, feedback: TransportFeedback, now: float) -> Outcome:
        read.append(feedback.count)
        return resolve(log, feedback, now)

    monkeypatch.setattr(SentLog, "resolve", noted)
    return read


NEAR = Conditions(delay_s=0.025)


def viewer(down: Conditions, seed: int = 1, **options: float) -> Viewer:
    return Viewer(Network(), down, NEAR, Media(1e6), seed=seed, feedback_s=0.06, **options)  # type: ignore[arg-type]


def test_a_viewer_who_has_all_it_wants_is_read_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    run = viewer(replace(NEAR, capacity_bps=20e6)).run(5)
    read = counted(monkeypatch)
    run.run(15)
    assert 30 <= len(read) <= 42
    assert run.estimator.target_bps > run.estimator.useful_bps
    assert run.estimator.acknowledged_bps == pytest.approx(1.05e6, rel=0.1)


def test_one_who_wants_more_is_read_always(monkeypatch: pytest.MonkeyPatch) -> None:
    run = viewer(replace(NEAR, capacity_bps=0.8e6)).run(5)
    read = counted(monkeypatch)
    run.run(15)
    assert len(read) >= 150


def test_loss_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = viewer(replace(NEAR, capacity_bps=20e6)).run(5)
    read = counted(monkeypatch)
    run.down_link.conditions = replace(NEAR, capacity_bps=20e6, loss=0.2)
    run.run(15)
    assert len(read) >= 120


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_cut_is_answered_as_soon_as_without_waiting(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def answered_s() -> float:
        run = viewer(replace(NEAR, capacity_bps=20e6), seed=seed).run(10)
        before_bps = run.estimator.target_bps
        run.down_link.conditions = replace(NEAR, capacity_bps=0.3e6)
        run.run(20)
        return run.first(lambda sample: sample.target_bps < 0.9 * before_bps, 10.0) - 10

    waiting_s = answered_s()
    monkeypatch.setattr(joining, "WAIT_S", 0.0)
    assert waiting_s <= answered_s() + 0.1 + 1e-6, "the samples are 0.1 s apart"
    assert waiting_s < 1.0


def test_what_ended_while_a_report_waited_is_no_silence() -> None:
    """All packets are reported, and nothing more is sent: the target stays."""
    estimator = BandwidthEstimator(10.0)
    for n in range(200):
        at = 10 + n * 0.05
        first = min([estimator.sent.note(1, 1000, at + k * 0.01) for k in range(5)])
        arrivals = [int((at + k * 0.01 + 0.02) * 4000) for k in range(5)]
        reference = arrivals[0] // 256
        estimator.useful_bps = 500e3
        estimator.tick(at)
        estimator.feedback(whole(first, [tick - 256 * reference for tick in arrivals], reference), at + 0.1)
    assert estimator.target_bps > estimator.useful_bps
    before_bps = estimator.target_bps
    for n in range(100):
        estimator.tick(20.1 + n * 0.05)
    assert estimator.sent.awaited == 0
    assert estimator.target_bps == before_bps
