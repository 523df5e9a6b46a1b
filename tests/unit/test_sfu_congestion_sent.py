"""What was sent is found again from what is reported about it, once, whatever is lost, late or untrue."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.congestion.feedback import TransportFeedback
from sfu.congestion.sent import BURST_S, MAX_AGE_S, MAX_PACKETS, MAX_RUNS, SETTLE_S, Outcome, SentLog
from sfu.rtcp import parse
from sfu.twcc import ArrivalLog


def report(base: int, spans: list[tuple[int, list[int]]], count: int, *, reference: int = 0) -> TransportFeedback:
    ticks = [tick for _, span in spans for tick in span]
    return TransportFeedback(base & 0xFFFF, count, 0, reference, tuple(spans), ticks == sorted(ticks))


def whole(base: int, ticks: list[int], **options: int) -> TransportFeedback:
    return report(base, [(0, ticks)], len(ticks), **options)


def test_numbers_run_on_over_the_wrap() -> None:
    log = SentLog()
    firsts = [log.note(3, 300, n * 0.001) for n in range(30_000)]
    assert firsts == [3 * n & 0xFFFF for n in range(30_000)]


def test_a_run_that_arrived_whole_is_one_arrival_with_its_octets() -> None:
    log = SentLog()
    log.note(3, 3001, 1.0)
    log.note(2, 200, 1.01, cluster=5)
    outcome = log.resolve(whole(0, [10, 11, 12, 50, 54], reference=2), 1.1)
    assert outcome.arrivals == [(1.0, 1.0, 522, 524, 3001, 3, 0), (1.01, 1.01, 562, 566, 200, 2, 5)]


def test_runs_of_one_burst_come_out_as_one() -> None:
    log = SentLog()
    for n in range(4):
        log.note(2, 200, 1.0 + n * 0.002)
    outcome = log.resolve(whole(0, [1, 2, 3, 4, 5, 6, 7, 8]), 1.1)
    assert [arrival[2:6] for arrival in outcome.arrivals] == [(1, 6, 600, 6), (7, 8, 200, 2)]
    assert outcome.octets == 800


def test_runs_of_a_probe_stay_apart() -> None:
    log = SentLog()
    for cluster in (1, 1, 0, 0, 1):
        log.note(1, 100, 1.0, cluster)
    outcome = log.resolve(whole(0, [1, 2, 3, 4, 5]), 1.1)
    assert [arrival[6] for arrival in outcome.arrivals] == [1, 1, 0, 1]


def test_what_had_been_sent_when_the_latest_left_includes_what_was_lost() -> None:
    log = SentLog()
    log.note(3, 300, 1.0)
    log.note(3, 330, 1.1)
    log.note(3, 360, 1.2)
    assert log.resolve(report(0, [(0, [1, 2]), (5, [3])], 6), 1.3).offered == 300 + 110


def test_two_reports_share_a_run_and_its_octets() -> None:
    log = SentLog()
    log.note(4, 4000, 1.0)
    first = log.resolve(whole(0, [10]), 1.1)
    second = log.resolve(whole(1, [1, 2, 3]), 1.2)
    assert first.arrivals == [(1.0, 1.0, 10, 10, 1000, 1, 0)]
    assert second.arrivals == [(1.0, 1.0, 1, 3, 3000, 3, 0)]


def test_what_was_reported_before_is_not_counted_again() -> None:
    log = SentLog()
    log.note(4, 4000, 1.0)
    log.resolve(whole(0, [10, 12]), 1.1)
    assert log.resolve(whole(0, [10, 12]), 1.1).arrivals == []
    assert log.resolve(whole(0, [10, 12, 14]), 1.2).arrivals == [(1.0, 1.0, 14, 14, 1000, 1, 0)]


def test_arrivals_out_of_order_give_the_earliest_and_the_latest() -> None:
    log = SentLog()
    log.note(4, 4000, 1.0)
    assert log.resolve(whole(0, [30, 10, 40, 20]), 1.1).arrivals == [(1.0, 1.0, 10, 40, 4000, 4, 0)]


def test_a_hole_in_the_middle_of_a_run_makes_two_arrivals() -> None:
    log = SentLog()
    log.note(5, 5000, 1.0)
    outcome = log.resolve(report(0, [(0, [1]), (3, [4, 5])], 5), 1.1)
    assert outcome.arrivals == [(1.0, 1.0, 1, 1, 1000, 1, 0), (1.0, 1.0, 4, 5, 2000, 2, 0)]


def settled(log: SentLog, at: float) -> Outcome:
    """Something newer arrived, so that the fate of what was sent `SETTLE_S` before is known."""
    first = log.note(1, 100, at)
    return log.resolve(whole(first, [1]), at + 0.05)


def test_what_arrived_before_any_loss_counts_at_once() -> None:
    log = SentLog()
    log.note(10, 1000, 1.0)
    outcome = log.resolve(whole(0, [1] * 10), 1.1)
    assert (outcome.received, outcome.lost) == (10, 0)
    assert log.resolve(whole(0, [1] * 10), 1.1).arrivals == []


def test_losses_count_once_their_time_is_over() -> None:
    log = SentLog()
    log.note(10, 1000, 1.0)
    early = log.resolve(report(0, [(0, [1] * 7)], 10), 1.1)
    assert (early.received, early.lost) == (0, 0)
    late = settled(log, 1.0 + SETTLE_S + 0.01)
    assert (late.received, late.lost) == (7, 3)
    after = settled(log, 2.0)
    assert (after.received, after.lost) == (1, 0)


def test_a_packet_that_was_overtaken_is_not_lost() -> None:
    log = SentLog()
    log.note(3, 300, 1.0)
    log.resolve(report(0, [(0, [1]), (2, [2])], 3), 1.1)
    log.resolve(whole(1, [9]), 1.15)
    outcome = settled(log, 2.0)
    assert (outcome.received, outcome.lost) == (3, 0)


def test_a_lost_report_says_nothing_about_the_packets() -> None:
    log = SentLog()
    log.note(2, 200, 1.0)
    log.note(5, 500, 1.05)
    log.note(2, 200, 1.1)
    outcomes = [log.resolve(whole(0, [1, 2]), 1.05), log.resolve(whole(7, [1, 2]), 1.15), settled(log, 2.0)]
    assert [outcome.gap for outcome in outcomes] == [False, True, False]
    assert sum(outcome.received for outcome in outcomes) == 4
    assert sum(outcome.lost for outcome in outcomes) == 0


def test_the_reference_time_wraps_and_steps_back() -> None:
    log = SentLog()
    log.note(4, 400, 1.0)
    ends = [
        log.resolve(whole(n, [0], reference=reference), 1.1).arrivals[0][2]
        for n, reference in enumerate((0xFFFFFE, 0, 0xFFFFFF, 1))
    ]
    origin = 0xFFFFFE * 256
    assert [end - origin for end in ends] == [0, 512, 256, 768]


def test_reports_of_what_was_never_sent_are_ignored() -> None:
    log = SentLog()
    assert log.resolve(whole(0, [1]), 1.0).arrivals == []
    log.note(3, 300, 1.0)
    for feedback in (whole(3, [1]), whole(1, [1, 2, 3]), whole(40_000, [1]), report(0, [], 4)):
        outcome = log.resolve(feedback, 1.1)
        assert (outcome.arrivals, outcome.received, outcome.lost) == ([], 0, 0)
    assert len(log.resolve(whole(0, [1, 2, 3]), 1.1).arrivals) == 1, "and change nothing"


def test_nothing_grows_without_reports() -> None:
    log = SentLog()
    for n in range(20_000):
        log.note(1, 100, n * 0.0001)
    assert len(log._runs) <= MAX_RUNS + 256
    assert log.forgotten == 20_000 - len(log._runs)
    log = SentLog()
    for n in range(3000):
        log.note(40, 4000, n * 0.001)
    assert log._runs[-1][0] - log._runs[0][0] <= MAX_PACKETS + 256 * 40
    log = SentLog()
    for n in range(256):
        log.note(1, 100, n * 0.1)
    assert log._runs[-1][3] - log._runs[0][3] <= MAX_AGE_S


def test_what_was_forgotten_may_be_reported_without_harm() -> None:
    log = SentLog()
    for n in range(9000):
        log.note(1, 100, n * 0.001)
    assert log.resolve(whole(0, [1, 2]), 9.0).arrivals == []
    half = log._runs[0][0] - 1
    assert len(log.resolve(whole(half, [1, 2]), 9.0).arrivals) == 1


def test_reports_leave_nothing_behind() -> None:
    log = SentLog()
    for n in range(500):
        first = log.note(4, 400, n * 0.02)
        log.resolve(report(first, [(0, [1]), (2, [2, 3])], 4), n * 0.02 + 0.01)
    assert len(log._runs) <= SETTLE_S / 0.02 + 2
    assert len(log._got) == len(log._missing) <= len(log._runs)
    for n in range(500):
        first = log.note(1, 100, 20 + n * 0.02)
        log.resolve(report(first, [], 1), 20 + n * 0.02 + 0.01)
        log.resolve(whole(first, [1]), 20 + n * 0.02 + 0.01)
    assert len(log._got) == len(log._missing) == 0


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=60),
    st.integers(0, 70_000),
    st.data(),
)
def test_what_arrives_is_found_whole_whatever_is_lost(
    runs: list[tuple[int, int]], start: int, data: st.DataObject
) -> None:
    """Against the plain way: a list of all packets."""
    log = SentLog()
    now = 1.0
    while start > 0:
        log.note(min(start, 1000), 1000, -100.0)
        start -= 1000
    receiver = ArrivalLog()
    packets: list[tuple[int, float, bool]] = []
    for count, wait_ms in runs:
        first = log.note(count, count * 100, now)
        for n in range(count):
            packets.append((first + n & 0xFFFF, now, data.draw(st.booleans())))
        now += wait_ms / 1000
    receiver.arrivals += [(number, sent + 0.03) for number, sent, arrived in packets if arrived]
    feedback = next(parse(receiver.take_feedback(1, 2) or b""), None)
    if feedback is None:
        return
    assert isinstance(feedback, TransportFeedback)
    outcome = log.resolve(feedback, now + 0.1)
    assert sum(arrival[5] for arrival in outcome.arrivals) == sum(arrived for _, _, arrived in packets)
    assert (
        sum(arrival[4] for arrival in outcome.arrivals)
        == outcome.octets
        == 100 * sum(arrived for _, _, arrived in packets)
    )
    for opened, sent, first_tick, last_tick, *_ in outcome.arrivals:
        assert 0 <= sent - opened <= BURST_S + 1e-9
        assert abs(first_tick / 4000 - opened - 0.03) < 0.0006 + sent - opened
        assert abs(last_tick / 4000 - sent - 0.03) < 0.0006 + sent - opened


@given(
    st.lists(st.integers(1, 40), max_size=30),
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.integers(1, 2000), st.integers(0, 0xFFFFFF), st.lists(st.integers(0, 99))),
        max_size=20,
    ),
)
def test_no_report_raises(runs: list[int], reports: list[tuple[int, int, int, list[int]]]) -> None:
    log = SentLog()
    for n, count in enumerate(runs):
        log.note(count, 100, n * 0.01)
    for base, count, reference, ticks in reports:
        log.resolve(
            report(base, [(count // 3, ticks)] if ticks else [], count // 3 + len(ticks) + count, reference=reference),
            5.0,
        )
    assert len(log._got) <= len(runs)
    assert len(log._missing) <= len(runs)


def test_a_late_packet_is_found_in_its_run_when_the_next_run_has_arrived_whole() -> None:
    log = SentLog()
    log.note(6, 600, 1.0)
    log.note(1, 100, 1.02)
    log.resolve(report(0, [(0, [1, 2, 3, 4, 5]), (6, [7])], 7), 1.1)
    assert log.resolve(whole(5, [9]), 1.2).octets == 100
    outcome = settled(log, 2.0)
    assert (outcome.received, outcome.lost) == (7, 0)
