"""A change of codec on one SSRC over real connections: viewers are offered the new track and get it, its recording has
another tap."""

from collections.abc import AsyncIterator, Sequence

import pytest

from sfu.engine import Sfu
from sfu.interfaces import TrackKind, TrackRequest
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.hostile import holds
from tests.support.payloads import PAYLOADS, encode
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient, Sink

CAMERA = sdp.Outgoing("1", "video", "VP8", 2222, 3333, more=("VP9",))
CHANGED = sdp.Outgoing("1", "video", "VP9", 2222, 3333)
FRAMES = 5


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    yield sfu
    await sfu.close()


def send(camera: RtpSender, codec: str, first: int) -> list[bytes]:
    """A few frames, the first of them a key frame; their payloads."""
    payloads: list[bytes] = []
    for number, frame in enumerate(encode(codec, FRAMES)):
        parts: Sequence[bytes] = list(PAYLOADS[codec](frame, number))
        camera.send_frame(parts, (first + number) * 3000)
        payloads += parts
    return payloads


async def carries(viewer: SfuClient, track_id: str) -> None:
    """Answer what is offered, after the first offer, until one carries that track."""
    answered = viewer.offers[0]
    while track_id not in [carried.track_id for carried in answered[2]]:
        await viewer.until(lambda: viewer.offers[-1] is not answered)  # noqa: B023
        offer_id, text, _ = answered = viewer.offers[-1]
        viewer.peer.subscribe_answer(offer_id, sdp.answer(viewer.subscribing.credentials, sdp.Description.parse(text)))


async def test_viewers_go_on_and_the_recording_has_another_tap(sfu: Sfu) -> None:
    room = sfu.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    (camera,) = await alice.publish(CAMERA)
    sink = Sink()
    room.start_recording(sink)
    await bob.subscribe()
    vp8 = send(camera, "vp8", 0)
    await bob.until(lambda: len(bob.got) == len(vp8))
    (track,) = alice.published
    assert alice.peer.set_muted(track.track_id, True)
    camera.line = CHANGED
    vp9 = send(camera, "vp9", 100)
    await holds(lambda: len(alice.published) == 2)
    await carries(bob, alice.published[1].track_id)
    assert [(ended.track_id, ended.codec) for ended in alice.ended] == [(track.track_id, "vp8")]
    assert [(new.kind, new.codec, new.muted) for new in alice.published[1:]] == [(TrackKind.CAMERA, "vp9", True)]
    came = len(bob.got)
    more = send(camera, "vp9", 200)
    await bob.until(lambda: len(bob.got) == came + len(more))
    assert [payload[-50:] for _, _, _, payload in bob.got[came:]] == [payload[-50:] for payload in more]
    assert [payload for _, _, _, payload in sink.taps["vp8"].packets] == vp8
    assert sink.taps["vp8"].ended
    assert [payload for _, _, _, payload in sink.taps["vp9"].packets] == vp9 + more
    await alice.close()
    await bob.close()


async def test_a_new_offer_of_who_changed_the_codec_leaves_the_track_alone(sfu: Sfu) -> None:
    """As for an ICE restart: the browser goes on in the codec that it changed to."""
    room = sfu.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    (camera,) = await alice.publish(CAMERA)
    send(camera, "vp8", 0)
    camera.line = CHANGED
    send(camera, "vp9", 100)
    await holds(lambda: len(alice.published) == 2)
    await bob.subscribe()
    alice.peer.publish(sdp.offer(alice.publishing.credentials, [CAMERA]), [TrackRequest("1", TrackKind.CAMERA)])
    assert len(alice.ended) == 1
    came = len(bob.got)
    more = send(camera, "vp9", 200)
    await bob.until(lambda: len(bob.got) >= came + len(more))
    await alice.close()
    await bob.close()


async def test_what_a_later_offer_adds_can_be_changed_to(sfu: Sfu) -> None:
    """Until then the answer has the present codec in front."""
    room = sfu.open_room("r")
    alice = SfuClient(room, "alice")
    (camera,) = await alice.publish(CHANGED)
    send(camera, "vp9", 0)
    offer = sdp.offer(alice.publishing.credentials, [CAMERA])
    answer = sdp.Description.parse(alice.peer.publish(offer, [TrackRequest("1", TrackKind.CAMERA)]))
    assert [codec for codec in answer.media[0].codecs().values() if codec != "RTX"] == ["VP9", "VP8"]
    assert alice.ended == []
    camera.line = CAMERA
    send(camera, "vp8", 100)
    await holds(lambda: [track.codec for track in alice.published] == ["vp9", "vp8"])
    await alice.close()
