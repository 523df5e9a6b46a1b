"""The benchmark's load is what it says, and its figures are computed from what was counted."""

import itertools

import pytest

from bench.forward import PATTERN, SUBSCRIBERS, arguments, load_for
from bench.load import BURST, CAMERA, MICROPHONE, NUMBER_BYTES, PAYLOAD_BYTES, Payloads, bursts, pattern
from bench.process import Times
from bench.report import ratios, summary, table, warnings
from bench.scene import Round, held_up, percentiles
from bench.viewer import Viewer
from sfu import rtcp
from sfu.codecs import keyframe
from sfu.codecs.vp8_descriptor import describe


def round_(cpu_us: float, held_up_us: float = 0.0, *, recording: bool = False, lost: int = 0) -> Round:
    return Round(
        recording=recording, duration_s=1.0, sent=1000, delivered=2000, lost=lost, repaired=0, cpu_us=cpu_us,
        cpu_main_us=cpu_us / 2, held_up_us=held_up_us, latency_us=(200.0, 500.0), packets_per_send=6.0,
        packets_per_wakeup=6.0, late_ms=1.0, generator_share=0.5,
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
    assert len(table(results).splitlines()) == 1 + 3
    assert "8.00 (per received)" in table(results)


def test_publishers_need_enough_subscribers_to_be_among_them() -> None:
    assert arguments([]).subscribers == SUBSCRIBERS
    with pytest.raises(SystemExit):
        arguments(["--publishers", "4", "--subscribers", "2"])


def test_the_rate_falls_where_the_generator_could_not_keep_up_with_what_comes_back() -> None:
    chosen = arguments(["--seconds", "1"])
    assert [len(load_for(n, chosen).sends) for n in (1, 10, 20, 50)] == [2400, 2400, 1200, 480]
    several = arguments(["--seconds", "1", "--publishers", "4", "--subscribers", "10"])
    assert len(load_for(10, several).sends) == 600
    assert load_for(50, arguments(["--seconds", "1", "--pattern"])).tracks == (CAMERA, MICROPHONE)


def test_two_servers_are_compared_round_by_round_where_both_were_calm() -> None:
    ours, theirs = [round_(4000.0), round_(9000.0)], [round_(8000.0), round_(10_000.0)]
    assert ratios(ours, theirs) == {"median": pytest.approx(0.7), "lowest": 0.5, "highest": 0.9}
    assert ratios([*ours, round_(1.0)], [*theirs, round_(1.0, 900_000.0)])["lowest"] == 0.5
    assert ratios([round_(1.0)], [round_(2.0, 900_000.0)])["median"] == 0.5


def test_a_server_is_held_up_by_others_and_not_by_its_own_threads() -> None:
    assert held_up([Times(on_cpu=100, waiting=20)]) == 20
    assert held_up([Times(on_cpu=100, waiting=20), Times(on_cpu=30, waiting=100)]) == 0
    assert held_up([Times(on_cpu=100, waiting=70), Times(on_cpu=30, waiting=100)]) == 40


def test_doubtful_figures_are_said_to_be() -> None:
    load = bursts(1.0)
    assert warnings([summary("Stemroom", load, 1, 2, [round_(8000.0)])]) == []
    doubtful = round_(8000.0, 500_000.0, lost=3)._replace(late_ms=80.0, generator_share=0.97)
    said = warnings([summary("Stemroom", load, 1, 2, [doubtful])])
    assert [words in line for words, line in zip(("lost", "late", "its core", "held"), said, strict=True)] == [True] * 4


def test_a_viewer_reports_what_arrived_and_asks_for_what_it_was_to_miss() -> None:
    viewer = Viewer(transport_cc_id=3, place=0)
    for sequence in (7, 8, 10):
        extension = b"\xbe\xde\0\1\x31" + sequence.to_bytes(2, "big") + b"\0"
        viewer.arrived(b"\x90\x60" + bytes(10) + extension + b"payload", 1_000_000_000 * 60)
    viewer.arrived(b"\x80\xc8" + bytes(20), 0)
    assert [viewer.missed(5, index, number) for index, number in ((65_535, 99), (65_536, 100), (65_537, 101))] == [
        False, True, False,
    ]  # fmt: skip
    feedback, request = viewer.answers(5)
    assert feedback[1] == 205
    assert feedback[12:16] == (7).to_bytes(2, "big") + (4).to_bytes(2, "big")
    assert list(rtcp.parse(request)) == [rtcp.Nack(5, (0,))]
    assert list(viewer.answers(5)) == []


def test_a_viewer_that_was_offered_no_numbers_reports_no_arrivals() -> None:
    viewer = Viewer(transport_cc_id=0, place=0)
    viewer.arrived(b"\x90\x60" + bytes(10) + b"\xbe\xde\0\1\x31\0\1\0", 0)
    assert list(viewer.answers(5)) == []
