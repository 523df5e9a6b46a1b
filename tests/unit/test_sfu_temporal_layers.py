"""A viewer may be limited to the lower temporal layers of a stream: it gets fewer frames, and never one that it cannot
decode; its numbers go on, whatever is lost on the way to us."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.codecs.temporal import TOP
from sfu.interfaces import StreamInfo, TrackInfo
from sfu.subscription import MAX_EARLIER
from tests.support.sfu_client import Tap
from tests.support.sfu_media import VP8, encoding
from tests.support.taps import QuietSink
from tests.support.temporal_camera import LayeredViewer, Made, TemporalCamera, undecodable


def limited(camera: TemporalCamera, viewer: LayeredViewer, limit: int) -> None:
    camera.track.limit(viewer.subscription, limit)


def numbers(viewer: LayeredViewer) -> list[int]:
    return [index for index, _ in viewer.extended()]


def picture_ids(viewer: LayeredViewer) -> list[int]:
    return [int.from_bytes(p.media[2:4], "big") & 0x7FFF for _, p in viewer.extended() if p.media]


@pytest.mark.parametrize(
    ("limit", "layers"), [(0, {"0"}), (1, {"0", "1"}), (2, {"0", "1", "2"}), (TOP, {"0", "1", "2"})]
)
def test_a_viewer_gets_the_layers_up_to_its_limit(limit: int, layers: set[str]) -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    camera.run(12)
    viewer.fresh()
    limited(camera, viewer, limit)
    camera.run(24)
    assert set(viewer.layers()) == layers
    assert numbers(viewer) == list(range(numbers(viewer)[0], numbers(viewer)[-1] + 1))
    assert undecodable(viewer.whole_frames()) == []


def test_a_limit_that_was_there_before_the_first_packet_holds_once_there_are_layers() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    camera.run(24)
    assert set(viewer.layers()) == {"0"}
    assert camera.encoding.top_layer == 2
    assert undecodable(viewer.whole_frames()) == []


def test_fewer_layers_come_from_the_next_frame_on_and_nobody_is_asked_for_a_key_frame() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    camera.run(14)
    viewer.fresh()
    first, *rest = camera.make()
    camera.accept(first)
    camera.wakeup()
    limited(camera, viewer, 0)
    for made in rest:
        camera.accept(made)
    camera.wakeup()
    assert viewer.layers() == "111", "a frame is not cut in two"
    camera.run(3)
    assert viewer.layers() == "000"
    assert not camera.encoding.requests.due(camera.now + 9)


def test_more_layers_come_one_by_one_with_frames_that_refer_to_none_of_theirs() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    camera.run(8 + 4)
    viewer.fresh()
    limited(camera, viewer, TOP)
    camera.run(24)
    got = viewer.layers()
    assert got.strip("0") != got
    assert got.index("1") < got.index("2")
    assert got[-6:].count("2") >= 2
    assert undecodable(viewer.whole_frames()) == []
    assert numbers(viewer) == list(range(numbers(viewer)[0], numbers(viewer)[-1] + 1))
    assert viewer.subscription.view is None, "as whoever was never limited"
    assert camera.encoding.views == []


def test_a_key_frame_lets_everybody_up() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    camera.run(13)
    viewer.fresh()
    limited(camera, viewer, TOP)
    camera.encoding.want_key_frame()
    camera.run(1)
    assert viewer.layers() == "0"
    camera.run(2)
    assert viewer.layers() == "11122", "frames 14 and 15, whether they let anybody up or not"


def test_viewers_of_one_limit_share_a_view_and_the_others_notice_nothing() -> None:
    camera = TemporalCamera()
    viewers = [camera.viewer() for _ in range(4)]
    camera.run(2)
    for viewer in viewers[:2]:
        limited(camera, viewer, 0)
    limited(camera, viewers[2], 1)
    camera.run(22)
    assert [view.limit for view in camera.encoding.views] == [0, 1]
    assert [viewer.layers() for viewer in viewers[:1]] == [viewer.layers() for viewer in viewers[1:2]]
    assert set(viewers[3].layers()) == {"0", "1", "2"}
    for viewer in viewers:
        assert undecodable(viewer.whole_frames()) == []
    for viewer in viewers[:3]:
        camera.track.unsubscribe(viewer.subscription)
    assert camera.encoding.views == []


def test_a_stream_without_layers_is_never_limited() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    source = encoding(VP8, 7, 0, camera.touched)
    camera.track.heard(source)
    for index in range(20):
        source.accept(
            index, 0x80, 3000 * index, bytes((0x90, 0x80, 0x80, index, 0 if index == 0 else 1, 0, 0)), 0, -1, 1.0
        )
        camera.wakeup()
    assert len(viewer.viewer.packets()) == 20
    assert source.views == []


def test_a_recording_has_every_layer() -> None:
    camera = TemporalCamera()
    tap = Tap()

    class Sink(QuietSink):
        def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> Tap:
            return tap

    viewer = camera.viewer()
    camera.run(1)
    camera.track.record(camera.encoding, Sink(), camera.now)
    limited(camera, viewer, 0)
    camera.run(40)
    indices = [index for index, *_ in tap.packets]
    assert indices == list(range(indices[0], camera.index + 1))


def test_timestamps_stay_those_of_the_stream_and_picture_ids_run_on() -> None:
    """libwebrtc waits for a picture whose id is missing, unless a frame has the sync bit."""
    camera = TemporalCamera()
    viewer = camera.viewer()
    camera.run(12)
    for limit in (0, TOP, 1, 0, TOP):
        limited(camera, viewer, limit)
        camera.run(26)
    packets = [packet for _, packet in viewer.extended()]
    made = [viewer.made(packet) for packet in packets]
    assert len({(p.timestamp - 3000 * m.frame) & 0xFFFFFFFF for p, m in zip(packets, made, strict=True)}) == 1
    assert len({(p.media[4] - m.frame // 4) & 0xFF for p, m in zip(packets, made, strict=True)}) == 1, "TL0PICIDX"
    pictures = list(dict.fromkeys(picture_ids(viewer)))
    assert pictures == [(pictures[0] + n) & 0x7FFF for n in range(len(pictures))]
    assert len(pictures) == len({m.frame for m in made})


# --- what is lost on the way to us


def lose(camera: TemporalCamera, made: list[Made], *lost: int) -> None:
    """Hand on these packets but the ones at these places; each in a wakeup of its own."""
    for place, one in enumerate(made):
        if place not in lost:
            camera.accept(one)
            camera.wakeup()


def test_a_missing_packet_keeps_a_number_and_gets_it_when_it_comes() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    camera.run(8)
    lowest = camera.make()
    lose(camera, lowest, 1)
    camera.run(3)
    viewer.fresh()
    camera.accept(lowest[1])
    camera.wakeup()
    (repaired,) = viewer.fresh()
    assert viewer.made(repaired) == lowest[1]
    assert sorted(numbers(viewer)) == list(range(min(numbers(viewer)), max(numbers(viewer)) + 1))
    assert viewer.viewer.pairs()[-1][1] == sorted(numbers(viewer))[-2], "in its own place"


def test_a_missing_packet_that_turns_out_to_be_left_out_becomes_padding_once() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    camera.run(9)
    (upper,) = camera.make()
    assert upper.layer == 2
    camera.run(4)
    (hole,) = set(range(min(numbers(viewer)), max(numbers(viewer)) + 1)) - set(numbers(viewer))
    for _ in range(2):
        camera.accept(upper)
        camera.wakeup()
    (padding,) = viewer.fresh()
    assert (padding.payload, padding.media, padding.padded) == (b"\1", b"", True)
    assert viewer.viewer.pairs()[-1][1] == hole
    assert camera.encoding.views[0].closed == 1


def test_nothing_is_kept_for_what_is_missing_inside_a_frame_that_is_left_out() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    limited(camera, viewer, 0)
    camera.run(10)
    upper = camera.make()
    assert [made.layer for made in upper] == [1, 1, 1]
    lose(camera, upper, 1)
    camera.run(9)
    assert numbers(viewer) == list(range(numbers(viewer)[0], numbers(viewer)[-1] + 1))
    camera.accept(upper[1])
    camera.wakeup()
    assert viewer.fresh() == []


def test_a_packet_from_before_a_change_is_sent_again_under_its_old_number() -> None:
    camera = TemporalCamera()
    viewer = camera.viewer()
    camera.run(12)
    sent = viewer.fresh()
    missed = sent[-2]
    limited(camera, viewer, 0)
    camera.run(2)
    limited(camera, viewer, TOP)
    camera.run(12)
    viewer.fresh()
    viewer.subscription.retransmit(missed.sequence, camera.now)
    (again,) = viewer.fresh()
    assert again.ssrc == viewer.subscription.rtx_ssrc
    assert again.media == missed.sequence.to_bytes(2, "big") + missed.media
    assert again.timestamp == missed.timestamp


Step = tuple[str, int, bool]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.sampled_from([0, 0, 0, 1, 2, 4]), st.booleans()),
        st.tuples(st.just("late"), st.integers(0, 5), st.booleans()),
        st.tuples(st.sampled_from(["limit 0", "limit 1"]), st.sampled_from([0, 1, 2, TOP]), st.booleans()),
        st.tuples(st.just("key"), st.just(0), st.booleans()),
        st.tuples(st.just("again"), st.integers(0, 40), st.booleans()),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_is_lost_and_late_and_limited_each_number_is_one_packet_and_all_grow(steps: list[Step]) -> None:
    """`frame`: the bits of its second number say which packets are lost; the boolean ends the wakeup."""
    camera = TemporalCamera()
    viewers = [camera.viewer(), camera.viewer()]
    camera.run(1)
    missing: list[Made] = []
    changes = sum(what.startswith("limit") for what, _, _ in steps)
    for what, number, ends in steps:
        if what == "frame":
            for place, made in enumerate(camera.make()):
                if number >> place & 1:
                    missing.append(made)
                else:
                    camera.accept(made)
        elif what == "late" and missing:
            camera.accept(missing.pop(number % len(missing)))
        elif what == "key":
            camera.encoding.want_key_frame()
        elif what == "again":
            for viewer in viewers:
                viewer.subscription.retransmit((viewer.subscription.next_index + number) & 0xFFFF, camera.now)
        elif what.startswith("limit"):
            limited(camera, viewers[int(what[-1])], number)
        if ends:
            camera.wakeup()
    for made in missing:
        camera.accept(made)
    camera.wakeup()
    camera.run(1)
    for viewer in viewers:
        for number in viewer.holes():
            viewer.subscription.new_tick()
            viewer.subscription.retransmit(number & 0xFFFF, camera.now)
        if changes <= MAX_EARLIER:
            assert viewer.holes() == [], "what is asked for comes"
        pairs = viewer.viewer.pairs()
        assert len(set(pairs)) == len(pairs)
        by_number = sorted(viewer.extended(), key=lambda pair: pair[0])
        media = [viewer.made(packet) for _, packet in by_number if packet.media]
        assert len({made.index for made in media}) == len(media), "no packet comes twice"
        assert all(before.index < after.index for before, after in pairwise(media)), "numbers follow the sender's"
        assert undecodable(viewer.whole_frames()) == []
        pictures = {viewer.made(p).frame: int.from_bytes(p.media[2:4], "big") & 0x7FFF for _, p in by_number if p.media}
        base = next(iter(pictures.values()), 0)
        steps_of = [(picture - base) & 0x7FFF for _, picture in sorted(pictures.items())]
        assert steps_of == sorted(set(steps_of)), "each picture has its own id, and they grow"
