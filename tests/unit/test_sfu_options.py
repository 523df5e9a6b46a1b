"""In which ways a picture can be sent: from the cheapest to the best, frames before size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.allocation import PAUSED
from sfu.codecs.temporal import TOP
from sfu.encoding import Encoding
from sfu.options import Choices, Option, options_of, place_of, place_of_smallest
from tests.support.sfu_media import VP8, encoding


def layer(number: int, bps: float, rates: tuple[float, ...] = ()) -> Encoding:
    """One of so much; `rates`: of its temporal layers."""
    made = encoding(VP8, 100 + number, 0, [], "lmh"[number])
    made.top_layer = max(0, len(rates) - 1)
    made.measure(0.0)
    made.octets = int(bps / 8)
    for place, rate in enumerate(rates):
        made.layer_octets[place] = int(rate / 8)
    made.measure(1.0)
    return made


def camera(*bps: float, temporal: bool = True) -> list[Encoding]:
    """From the smallest picture on; 40, 20 and 40 per cent of each are in its temporal layers, as in Chromium's VP8."""
    return [
        layer(number, rate, (0.4 * rate, 0.2 * rate, 0.4 * rate) if temporal else ()) for number, rate in enumerate(bps)
    ]


def told(options: list[Option]) -> list[tuple[str, int, int]]:
    return [(option.layer.info.rid, option.max_temporal, round(option.bps / 1000)) for option in options]


def test_each_size_comes_with_all_frames_or_half_and_the_smallest_with_a_quarter_too() -> None:
    assert told(options_of(camera(150e3, 500e3, 1500e3), None, TOP)) == [
        ("l", 0, 60),
        ("l", 1, 90),
        ("l", TOP, 150),
        ("m", 1, 300),
        ("m", TOP, 500),
        ("h", 1, 900),
        ("h", TOP, 1500),
    ]


def test_without_temporal_layers_there_are_only_sizes() -> None:
    assert told(options_of(camera(150e3, 500e3, temporal=False), None, TOP)) == [("l", TOP, 150), ("m", TOP, 500)]


def test_two_temporal_layers_are_all_frames_or_half_of_them() -> None:
    layers = [layer(0, 200e3, (120e3, 80e3)), layer(1, 800e3, (480e3, 320e3))]
    assert told(options_of(layers, None, TOP)) == [("l", 0, 120), ("l", TOP, 200), ("m", 0, 480), ("m", TOP, 800)]


def test_what_costs_no_less_than_something_better_is_left_out_unless_it_is_sent_now() -> None:
    layers = camera(150e3, 500e3, 700e3)
    assert told(options_of(layers, None, TOP))[-3:] == [("m", 1, 300), ("h", 1, 420), ("h", TOP, 700)]
    sent = options_of(layers, layers[1], TOP)
    assert told(sent)[-4:] == [("m", 1, 300), ("m", TOP, 500), ("h", 1, 420), ("h", TOP, 700)]
    assert place_of(sent, layers, layers[1], TOP) == len(sent) - 3


def test_the_share_of_temporal_layers_is_that_of_the_last_second() -> None:
    (one,) = camera(100e3)
    assert one.share(0) == pytest.approx(0.4)
    for moment in range(1, 9):
        one.layer_octets[2] += 4000
        one.measure(1.0 + moment / 4)
    assert one.share(0) == 0
    assert one.share(2) == 1


def test_a_stream_that_nobody_has_measured_yet_is_taken_to_be_one_layer() -> None:
    one = encoding(VP8, 1, 0, [])
    one.top_layer = 2
    assert one.share(0) == 1


def test_what_is_sent_is_the_best_option_that_is_no_more() -> None:
    layers = camera(150e3, 500e3, 1500e3)
    options = options_of(layers, layers[1], 0)
    assert told(options)[place_of(options, layers, layers[1], 0)] == ("l", TOP, 150), "no quarter of a larger one"
    assert place_of(options, layers, layers[0], 0) == 0
    assert place_of(options, layers, layers[2], 7) == len(options) - 1
    assert place_of(options, layers, None, TOP) == PAUSED
    assert place_of(options[1:], layers, layers[0], 0) == 0
    assert place_of(options, layers[:2], layers[2], TOP) == PAUSED, "it is no choice any more"


rates = st.lists(st.tuples(*[st.floats(0, 3e6)] * 3), min_size=1, max_size=3)


@given(rates, st.integers(0, 3), st.integers(0, TOP))
def test_whatever_the_rates_there_is_a_way_from_the_cheapest_to_the_whole(
    found: list[tuple[float, float, float]], place: int, limit: int
) -> None:
    layers = [layer(number, sum(three), three) for number, three in enumerate(found)]
    present = layers[place] if place < len(layers) else None
    options = options_of(layers, present, limit)
    assert (options[-1].layer, options[-1].max_temporal) == (layers[-1], TOP)
    order = [(layers.index(option.layer), option.max_temporal) for option in options]
    assert order == sorted(set(order)), "each is better than the one before"
    at = place_of(options, layers, present, limit)
    cheapest_first = [option.bps for n, option in enumerate(options) if n != at]
    assert cheapest_first == sorted(cheapest_first)
    assert -1 <= at < len(options)
    assert 0 <= place_of_smallest(options) < len(options)


@given(rates, st.integers(0, 3), st.integers(0, TOP), st.integers(1, 3))
def test_what_is_found_for_all_who_are_sent_the_same_is_what_each_would_find(
    found: list[tuple[float, float, float]], place: int, limit: int, room_for: int
) -> None:
    layers = [layer(number, sum(three), three) for number, three in enumerate(found)]
    present = layers[place] if place < len(layers) else None
    choices = Choices()
    choices.of(layers, None, TOP)
    for seen in (layers, layers[:room_for], layers):
        options = options_of(seen, present, limit)
        choice = choices.of(seen, present, limit)
        assert choice.options == options
        assert choice.options_bps == tuple(option.bps for option in options)
        assert choice.present == place_of(options, seen, present, limit)
        assert choice.smallest == place_of_smallest(options)


def test_rates_are_those_of_the_last_measurement_for_everybody() -> None:
    layers, choices = camera(150e3, 500e3, temporal=False), Choices()
    before = choices.of(layers, None, TOP)
    for one in layers:
        one.octets *= 3
        one.measure(2.0)
    assert choices.of(layers, None, TOP) is before, "nothing is found twice"
    choices.forget()
    assert [round(bps / 1000) for bps in choices.of(layers, None, TOP).options_bps] == [300, 1000]
