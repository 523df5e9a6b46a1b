"""Why a viewer is sent what it is of a track is said in one word, in virtual time."""

from sfu.figures import Reason
from sfu.interfaces import DeliveryState
from sfu.reasons import reason
from tests.support.layered_camera import Camera, Watching


def why(camera: Camera, watching: Watching, delivery: DeliveryState = DeliveryState.WHOLE) -> Reason:
    return reason(camera.track, watching.subscription, delivery)


def test_before_anything_comes_there_is_no_media_and_then_a_key_frame_is_waited_for() -> None:
    camera = Camera()
    watching = camera.viewer(720)
    assert why(camera, watching) is Reason.NO_MEDIA
    camera.run(1.0)
    assert why(camera, watching) is Reason.BEST
    camera.track.show(watching.subscription, 180)
    assert why(camera, watching) is Reason.KEY_FRAME
    camera.run(1.0)
    assert why(camera, watching) is Reason.TILE


def test_a_picture_that_is_not_shown_larger_is_held_by_its_tile() -> None:
    camera = Camera()
    small, hidden = camera.viewer(180), camera.viewer(0)
    camera.run(2.0)
    assert why(camera, small) is Reason.TILE
    assert why(camera, hidden) is Reason.HIDDEN


def test_what_the_operator_allows_is_told_from_what_the_viewer_wants() -> None:
    camera = Camera(max_viewer_lines=360)
    large, small = camera.viewer(720), camera.viewer(180)
    camera.run(2.0)
    assert why(camera, large) is Reason.SERVER_MAXIMUM
    assert why(camera, small) is Reason.TILE


def test_the_network_is_named_before_the_tile_and_after_what_its_publisher_or_the_room_does() -> None:
    camera = Camera()
    watching = camera.viewer(180)
    camera.run(2.0)
    assert why(camera, watching, DeliveryState.REDUCED) is Reason.NETWORK
    camera.track.gate(True)
    assert why(camera, watching, DeliveryState.REDUCED) is Reason.NOT_AMONG_LOUDEST
    camera.track.muted = True
    assert why(camera, watching, DeliveryState.REDUCED) is Reason.MUTED
    camera.track.show(watching.subscription, 0)
    assert why(camera, watching, DeliveryState.PAUSED) is Reason.HIDDEN


def test_what_is_not_subscribed_is_not_taken() -> None:
    camera = Camera()
    watching = camera.viewer(720)
    camera.run(1.0)
    camera.track.unsubscribe(watching.subscription)
    assert why(camera, watching) is Reason.NOT_TAKEN
    assert reason(None, watching.subscription, DeliveryState.WHOLE) is Reason.NOT_TAKEN


def test_where_nothing_is_bounded_no_bound_is_named_while_layers_come_and_go() -> None:
    camera = Camera()
    watching = camera.viewer(720)
    camera.run(2.0)
    camera.sent.discard("h")
    said = set()
    for frame in range(180):
        if frame == 60:
            camera.sent.add("h")
        camera.frame()
        if frame % 8 == 0:
            camera.look()
        said.add(why(camera, watching))
    assert Reason.BEST in said
    assert Reason.SERVER_MAXIMUM not in said
