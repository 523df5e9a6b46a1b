"""A client that offers to receive, over real ICE, DTLS and SRTP: it gets what is published, whatever comes and goes."""

from collections.abc import AsyncIterator

import pytest

from sfu.engine import Sfu
from sfu.interfaces import NegotiationError, TransportName, Watch
from sfu.room import Room
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.sfu_client import SfuClient

VP8_KEY = bytes([0x90, 0x80, 0x80, 0x01, 0x10, 0x00, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01])
AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    yield sfu
    await sfu.close()


@pytest.fixture
async def room(sfu: Sfu) -> Room:
    return sfu.open_room("r")


async def test_what_is_published_reaches_the_viewer_under_its_own_numbers(sfu: Sfu, room: Room) -> None:
    alice, viewer = SfuClient(room, "alice"), SfuClient(room, "viewer")
    audio, video = await alice.publish(AUDIO, VIDEO)
    answer = await viewer.watch(AUDIO, VIDEO)
    assert [m.direction for m in answer.media] == ["sendonly", "sendonly"]
    audio.send(b"\x78sound", 0)
    video.send(VP8_KEY + bytes(100), 0, marker=True)
    await viewer.until(lambda: len(viewer.got) == 2)
    ssrcs = {m.ssrcs()[0]: m.kind for m in answer.media}
    assert {ssrcs[ssrc]: payload for ssrc, _, _, payload in viewer.got}["audio"] == b"\x78sound"
    figures = sfu.figures("r")
    assert figures is not None
    watching = next(p for p in figures.participants if p.participant_id == "viewer")
    assert [s.packets for s in watching.subscriptions] == [1, 1]
    await alice.close()
    await viewer.close()


async def test_when_the_shown_camera_ends_the_other_one_follows_on_the_same_stream(room: Room) -> None:
    alice, bob, viewer = (SfuClient(room, name) for name in ("alice", "bob", "viewer"))
    (of_alice,) = await alice.publish(VIDEO)
    (of_bob,) = await bob.publish(VIDEO)
    await viewer.watch(VIDEO)
    of_alice.send(VP8_KEY + b"alice", 0, marker=True)
    of_bob.send(VP8_KEY + b"bob", 90_000, marker=True)
    await viewer.until(lambda: viewer.got)
    assert viewer.got[0][3].endswith(b"bob")
    room.remove_peer("bob")
    of_alice.send(VP8_KEY + b"alice", 3000, marker=True)
    await viewer.until(lambda: len(viewer.got) == 2)
    (first, before, _, _), (second, after, _, payload) = viewer.got
    assert (second, after, payload[-5:]) == (first, before + 1, b"alice")
    for client in (alice, bob, viewer):
        await client.close()


async def test_a_viewer_before_an_empty_room_is_told_so_and_may_try_again(room: Room) -> None:
    viewer = SfuClient(room, "viewer")
    with pytest.raises(NegotiationError) as caught:
        await viewer.watch(AUDIO, VIDEO)
    assert caught.value.id == "nothing_to_watch"
    alice = SfuClient(room, "alice")
    await alice.publish(AUDIO)
    with pytest.raises(NegotiationError):
        await viewer.watch(AUDIO, watch=Watch(participant_id="bob"))
    answer = await viewer.watch(AUDIO, VIDEO, watch=Watch(participant_id="alice"))
    assert [m.rejected for m in answer.media] == [False, True]
    await alice.close()
    await viewer.close()


async def test_a_viewer_who_closes_is_seen_to_be_gone(room: Room) -> None:
    alice, viewer = SfuClient(room, "alice"), SfuClient(room, "viewer")
    await alice.publish(AUDIO)
    await viewer.watch(AUDIO)
    await viewer.subscribing.close()
    await viewer.until(lambda: (TransportName.SUBSCRIBE, "closed") in viewer.states)
    await alice.close()
    await viewer.close()
