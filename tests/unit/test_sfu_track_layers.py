"""Which simulcast layer a viewer gets: the one that fits what is shown, of those that are sent; without a jump."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.track import PROOF_S, SILENT_S
from tests.support.layered_camera import Camera
from tests.support.sfu_media import VP8, encoding


def test_a_viewer_gets_the_smallest_layer_that_fills_what_it_shows() -> None:
    camera = Camera()
    small, middle, large, unsaid = camera.viewer(180), camera.viewer(200), camera.viewer(2000), camera.viewer()
    camera.run(2.0)
    for watching in (small, middle, large, unsaid):
        watching.fresh()
    camera.run(1.0)
    assert [set(w.fresh()) for w in (small, middle, large, unsaid)] == [{"l"}, {"m"}, {"h"}, {"h"}]


@pytest.mark.parametrize(("lines", "expected"), [(0, "h"), (720, "h"), (400, "m"), (100, "l")])
def test_a_studio_may_bound_what_viewers_get_and_the_smallest_always_comes(lines: int, expected: str) -> None:
    camera = Camera(max_viewer_lines=lines)
    watching, unsaid = camera.viewer(720), camera.viewer()
    camera.run(2.0)
    for one in (watching, unsaid):
        one.fresh()
    camera.run(1.0)
    assert [set(one.fresh()) for one in (watching, unsaid)] == [{expected}, {expected}]


def test_at_the_beginning_the_largest_layer_is_taken_with_its_first_frame() -> None:
    camera = Camera()
    watching = camera.viewer()
    camera.run(1.0)
    assert watching.fresh().lstrip("lm").strip("h") == ""
    assert len(watching.got) <= 32, "one frame of each at most"
    assert camera.key_frames == ["l", "m", "h"], "nobody was asked for another"


def test_the_old_layer_goes_on_until_the_new_one_has_a_key_frame() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    camera.run(2.0)
    watching.fresh()
    camera.track.show(watching.subscription, 720)
    camera.run(1.0)
    got = watching.fresh()
    assert len(got) in (30, 31), "no frame is missing, and at most the one of the change is there of both"
    assert got.strip("l").strip("h") == "", "from the one to the other, once"
    assert got.endswith("h")
    assert camera.key_frames[-1] == "h"


def test_over_changes_of_layers_numbers_go_on() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    for height in (180, 720, 300, 720, 100):
        camera.track.show(watching.subscription, height)
        camera.run(1.2)
    got = watching.fresh()
    assert set(got) == {"l", "m", "h"}
    for (sequence, picture, timestamp), (next_sequence, next_picture, next_timestamp) in pairwise(watching.numbers()):
        assert (next_sequence - sequence) & 0xFFFF == 1
        assert (next_picture - picture) & 0x7FFF == 1
        assert 0 < (next_timestamp - timestamp) & 0xFFFFFFFF <= 6001


def test_time_goes_on_by_the_senders_clock_where_it_reports() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    camera.run(1.0)
    camera.report("l")
    camera.report("h")
    camera.late_s["h"] = 0.08
    camera.track.show(watching.subscription, 720)
    camera.run(1.0)
    assert watching.fresh().endswith("h")
    steps = {(b[2] - a[2]) & 0xFFFFFFFF for a, b in pairwise(watching.numbers())}
    assert all(step == 1 or abs(step - 3000) <= 1 for step in steps), "what was captured at once may come twice"


def test_reports_of_different_clocks_are_not_believed() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    camera.run(1.0)
    camera.report("l")
    camera.report("h", skew_s=500.0)
    camera.track.show(watching.subscription, 720)
    camera.run(1.0)
    watching.fresh()
    assert max((b[2] - a[2]) & 0xFFFFFFFF for a, b in pairwise(watching.numbers())) < 6000


def test_what_is_not_shown_is_not_sent_and_comes_back_with_a_key_frame() -> None:
    camera = Camera()
    watching = camera.viewer(720)
    camera.run(2.0)
    watching.fresh()
    camera.track.show(watching.subscription, 0)
    camera.run(1.0)
    assert watching.fresh() == ""
    camera.track.show(watching.subscription, 720)
    camera.run(1.0)
    got = watching.fresh()
    assert set(got) == {"h"}
    assert len(got) >= 10
    assert watching.got[-len(got)].payload[4] & 1 == 0, "it begins with a key frame"
    assert (watching.got[-len(got)].sequence - watching.got[-len(got) - 1].sequence) & 0xFFFF == 1


def test_a_layer_that_its_sender_stopped_is_left_for_the_next_best() -> None:
    camera = Camera()
    watching = camera.viewer()
    camera.run(2.0)
    camera.sent.remove("h")
    watching.fresh()
    camera.run(SILENT_S + 1.0)
    assert watching.fresh().endswith("m")


def test_a_layer_that_returns_is_taken_once_it_has_proved_itself() -> None:
    camera = Camera()
    watching = camera.viewer()
    camera.run(2.0)
    camera.sent.remove("h")
    camera.run(2.0)
    camera.sent.add("h")
    watching.fresh()
    camera.run(PROOF_S - 0.5)
    assert set(watching.fresh()) == {"m"}
    camera.run(1.5)
    assert watching.fresh().endswith("h")


def test_a_camera_that_is_off_moves_nobody() -> None:
    camera = Camera()
    watching = camera.viewer(300)
    camera.run(2.0)
    wanted = watching.subscription.wants
    camera.now += 60
    camera.track.choose_layers()
    assert watching.subscription.wants is wanted is camera.layers["m"]


def test_a_viewer_that_leaves_while_it_waits_is_forgotten() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    camera.run(1.0)
    camera.track.show(watching.subscription, 720)
    camera.track.unsubscribe(watching.subscription)
    camera.run(1.0)
    assert all(watching.subscription not in layer.subscriptions for layer in camera.layers.values())
    assert all(watching.subscription not in layer.waiting for layer in camera.layers.values())


def test_a_layer_that_restarts_with_another_ssrc_takes_its_viewers_along() -> None:
    camera = Camera("lh")
    watching = camera.viewer(720)
    camera.run(2.0)
    watching.fresh()
    camera.layers["h"] = encoding(VP8, 999, 5000, camera.touched, "h")
    camera.run(1.5)
    assert watching.fresh().endswith("h")
    assert watching.subscription.encoding is camera.layers["h"]
    assert {p.ssrc for p in watching.got} == {watching.subscription.ssrc}


@pytest.mark.parametrize("rids", ["lmh", "hml"])
def test_the_order_in_the_offer_does_not_matter_once_sizes_are_known(rids: str) -> None:
    camera = Camera(rids)
    watching = camera.viewer(180)
    camera.run(2.0)
    assert [layer.info.rid for layer in camera.track.layers()] == ["l", "m", "h"]
    watching.fresh()
    camera.run(0.5)
    assert set(watching.fresh()) == {"l"}


@given(
    st.lists(st.tuples(st.sampled_from([0, 100, 180, 300, 720, None]), st.sets(st.sampled_from("lmh"))), max_size=12)
)
def test_whatever_is_wanted_and_sent_no_number_is_given_twice(steps: list[tuple[int | None, set[str]]]) -> None:
    camera = Camera()
    watching = camera.viewer()
    for height, sent in steps:
        camera.sent = sent
        watching.subscription.wanted_height = height
        camera.run(0.7)
    watching.fresh()
    pairs = watching.viewer.pairs()
    assert len(set(pairs)) == len(pairs)
    for before, after in pairwise(watching.numbers()):
        assert ((after[0] - before[0]) & 0xFFFF, (after[1] - before[1]) & 0x7FFF) == (1, 1)
