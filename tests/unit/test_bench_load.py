"""The benchmark's load is what it says, and its figures are computed from what was counted."""

import itertools

import pytest

from bench.forward import PATTERN, arguments
from bench.load import BURST, CAMERA, MICROPHONE, NUMBER_BYTES, PAYLOAD_BYTES, Payloads, bursts, pattern
from bench.report import ratios, summary, table
from bench.scene import Round, percentiles
from sfu.codecs import keyframe
from sfu.codecs.vp8_descriptor import describe


def round_(cpu_us: float, waited_us: float = 0.0, *, recording: bool = False) -> Round:
    return Round(
        recording=recording, sent=1000, delivered=2000, lost=0, cpu_us=cpu_us, cpu_main_us=cpu_us / 2,
        waited_us=waited_us, latency_us=(200.0, 500.0), packets_per_send=6.0, packets_per_wakeup=6.0, late_ms=1.0,
    )  # fmt: skip


def test_bursts_come_at_the_rate_and_end_with_the_marker() -> None:
    load = bursts(2.0, 400)
    assert len(load.sends) == 2 * 400 * BURST
    for _, frame in itertools.groupby(load.sends, lambda send: send.timestamp):
        packets = list(frame)
        assert [send.marker for send in packets] == [False] * (BURST - 1) + [True]
        assert len({send.due_s for send in packets}) == 1


def test_the_recorded_pattern_is_repeated_in_order_with_timestamps_that_go_on() -> None:
    load = pattern(PATTERN, 45.0)
    assert load.tracks == (CAMERA, MICROPHONE)
    assert 44.9 < load.sends[-1].due_s < 45.0
    assert all(a.due_s <= b.due_s for a, b in itertools.pairwise(load.sends))
    for track, rate in ((CAMERA, 90_000), (MICROPHONE, 48_000)):
        timestamps = [send.timestamp for send in load.sends if send.track == track]
        assert timestamps == sorted(timestamps)
        assert timestamps[-1] == pytest.approx(45.0 * rate, rel=0.01)


def test_payloads_are_vp8_to_everybody_on_the_way_and_carry_their_number() -> None:
    load = bursts(2.0, 30)
    payloads = Payloads(CAMERA)
    made = [payloads.make(send, number) for number, send in enumerate(load.sends)]
    begins_key_frame = keyframe("vp8")
    assert {len(payload) for payload in made} == {PAYLOAD_BYTES}
    assert [int.from_bytes(payload[-NUMBER_BYTES:], "big") for payload in made] == list(range(len(made)))
    assert [number // BURST for number, payload in enumerate(made) if begins_key_frame(payload)] == [0, 30]
    assert [describe(payload).picture_id for payload in made] == [1 + number // BURST for number in range(len(made))]


def test_percentiles_are_in_microseconds() -> None:
    assert percentiles([]) == (0.0, 0.0)
    assert percentiles([1000 * n for n in range(100, 0, -1)]) == (51.0, 100.0)


def test_only_calm_rounds_count_where_there_are_some() -> None:
    load = bursts(1.0)
    result = summary("Stemroom", load, 1, 2, [round_(2000.0, 900_000.0), round_(8000.0), round_(10_000.0)])
    assert result["us_per_delivered"] == {"median": 4.5, "lowest": 4.0, "highest": 5.0}
    assert result["rounds_counted"] == 2
    assert summary("Stemroom", load, 1, 2, [round_(2000.0, 900_000.0)])["rounds_counted"] == 1


def test_recording_is_told_as_the_difference_of_neighbours_per_received_packet() -> None:
    rounds = [round_(8000.0), round_(9000.0, recording=True), round_(10_000.0), round_(13_000.0, recording=True)]
    result = summary("Stemroom", bursts(1.0), 1, 2, rounds)
    assert result["recording_us_per_received"] == {"median": 2.0, "lowest": 1.0, "highest": 3.0}
    assert "recording, 2 subscribers, whole process: +2.00 us per received packet" in table([result])


def test_the_table_has_a_line_per_result_also_without_subscribers() -> None:
    results = [summary("Stemroom", bursts(1.0), 1, subscribers, [round_(8000.0)]) for subscribers in (0, 2)]
    assert len(table(results).splitlines()) == 3
    assert "8.00 (per received)" in table(results)


def test_publishers_need_enough_subscribers_to_be_among_them() -> None:
    assert arguments([]).subscribers == [1, 10]
    with pytest.raises(SystemExit):
        arguments(["--publishers", "4", "--subscribers", "2"])


def test_two_servers_are_compared_round_by_round() -> None:
    ours, theirs = [round_(4000.0), round_(9000.0)], [round_(8000.0), round_(10_000.0)]
    assert ratios(ours, theirs) == {"median": pytest.approx(0.7), "lowest": 0.5, "highest": 0.9}
