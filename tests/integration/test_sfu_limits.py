"""What a participant sends or asks beyond its limits is dropped and said, and nobody else notices (attack 19)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sfu.engine import Sfu
from sfu.interfaces import Limit
from sfu.settings import MediaLimits, MediaSettings
from tests.support import counter, sdp
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames, vp8_payloads
from tests.support.evidence import Evidence, collect
from tests.support.media import FPS
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.raw_transport import Incoming
from tests.support.sfu_client import SfuClient
from tests.support.studio import Studio, start_studio

INCOMING_BPS = 2_000_000
FLOOD_BPS = 10 * INCOMING_BPS
MAX_AT_ONCE = 40
"""Packets of the flood sent in one turn of the loop: more would overflow the node's socket, whoever sent them."""
RECORDED_S = 4
PAYLOAD = b"\x90\x80\x80\x01\x10\x00\x00\x9d\x01\x2a\x80\x02\x68\x01" + bytes(1150)
"""The first packet of a VP8 key frame; a whole frame of its own with the marker bit."""
AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    async with start_studio(tmp_path, {"media": {"limits": {"incoming_bps": INCOMING_BPS}}}) as running:
        yield running


async def talk(microphone: RtpSender, camera: RtpSender, packets: list[bytes], frames: list[bytes]) -> None:
    """Known sound and pictures in real time."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number, packet in enumerate(packets):
        await asyncio.sleep(began_s + number * 0.02 - loop.time())
        microphone.send(packet, number * OPUS_SAMPLES)
        due = min(len(frames), (number + 1) * FPS // 50)
        for place in range(number * FPS // 50, due):
            camera.send_frame(list(vp8_payloads(frames[place], place)), place * 90_000 // FPS)


async def flood(camera: RtpSender) -> None:
    """Ten times what is taken, for as long as it is let."""
    loop = asyncio.get_running_loop()
    at_s = loop.time()
    while True:
        due = int((loop.time() - at_s) * FLOOD_BPS / 8 / len(PAYLOAD))
        at_s = loop.time()
        for _ in range(min(due, MAX_AT_ONCE)):
            camera.send(PAYLOAD, camera.index * 3000, marker=True)
        await asyncio.sleep(0.01)


def media_of(viewer: RawPeer, kind: str, publisher: RawPeer) -> Incoming:
    """The stream itself: packets that probe the viewer's network come beside it, as repairs."""
    return max(viewer.received(kind, publisher.participant_id), key=lambda stream: stream.packets)


async def media_events(studio: Studio, event: str) -> float:
    text: str = await studio.operators("/metrics")
    lines = [line for line in text.splitlines() if f'event="{event}"' in line]
    return sum(float(line.split()[-1]) for line in lines)


async def test_a_member_who_floods_is_policed_and_told_while_a_recorded_call_goes_on(
    studio: Studio, tmp_path: Path
) -> None:
    packets, frames = opus_packets(50 * RECORDED_S), vp8_frames(FPS * RECORDED_S)
    session = await studio.create_session("A flood")
    secret, session_id = session["host_secret"], session["session_id"]
    async with (
        await RawPeer.join(studio.url, session_id, host_secret=secret) as ann,
        await RawPeer.join(studio.url, session_id) as mallory,
        await RawPeer.join(studio.url, session_id) as bob,
    ):
        microphone, camera = await ann.publish("microphone", "camera")
        (flooder,) = await mallory.publish("camera")
        await bob.takes(3)
        recording = await studio.api.start_recording(session_id, secret)
        flooding = asyncio.create_task(flood(flooder))
        await mallory.message("error", id="sends_too_much")
        await talk(microphone, camera, packets, frames)
        flooding.cancel()
        # What was sent last has passed all of it.
        for sender, kind in ((microphone, "microphone"), (camera, "camera")):
            stream = media_of(bob, kind, ann)
            await bob.until(lambda s=sender, i=stream: (i.packets, i.lost) == (s.packets, 0), "she is not whole")
        flood_s = RECORDED_S + 2
        flooded = media_of(bob, "camera", mallory)
        assert flooded.bytes * 8 < INCOMING_BPS * (flood_s + 1)
        assert await media_events(studio, "dropped_policed") > 0.5 * flooder.packets
        assert await media_events(studio, "limit_sends_too_much") == 1
        assert [m["id"] for m in mallory.messages if m["type"] == "error"] == ["sends_too_much"], "told once"
        assert not [m for peer in (ann, bob) for m in peer.messages if m["type"] == "error"]
        await studio.api.stop_recording(session_id, recording["recording_id"], secret)
        evidence = await collect(studio, session, recording["recording_id"], [], tmp_path, local_copies=0)
    assert_recorded_whole(evidence, ann, microphone, camera)


def assert_recorded_whole(evidence: Evidence, ann: RawPeer, microphone: RtpSender, camera: RtpSender) -> None:
    hers = [file for file in evidence.files if file.take["participant_id"] == ann.participant_id]
    assert sorted(file.take["kind"] for file in hers) == ["camera", "microphone"]
    for file in hers:
        assert file.segment["gaps"] == []
        assert file.segment["packets"]["lost"] == file.segment["packets"]["dropped"] == 0
    pictures, sound = sorted(hers, key=lambda file: file.take["kind"])
    assert [reading.number for reading in counter.read_file(pictures.path)] == list(range(FPS * RECORDED_S))
    assert sound.report.stream("audio").packets == microphone.packets


@pytest.fixture
async def small() -> AsyncIterator[Sfu]:
    limits = MediaLimits(streams=2, subscriptions=1, incoming_bps=1_000_000)
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), limits=limits))
    await running.start()
    yield running
    await running.close()


async def test_a_viewer_is_told_that_not_everything_fits(small: Sfu) -> None:
    room = small.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    await alice.publish(AUDIO, VIDEO)
    await bob.subscribe()
    await bob.until(lambda: bob.limits == [Limit.SUBSCRIPTIONS])
    assert small.counters()["limit_too_many_subscriptions"] == 1
    await alice.close()
    await bob.close()


async def test_a_publisher_is_told_of_streams_that_are_not_taken(small: Sfu) -> None:
    room = small.open_room("r")
    alice = SfuClient(room, "alice")
    audio, video = await alice.publish(AUDIO, VIDEO)
    audio.send(b"\x78one", 0)
    video.send(PAYLOAD, 0, marker=True)
    video.ssrc = 4444
    video.send(PAYLOAD, 3000, marker=True)
    await alice.until(lambda: alice.limits == [Limit.STREAMS])
    assert small.counters()["dropped_limit"] == 1
    await alice.close()


async def test_counters_go_on_when_the_connection_that_made_them_ends(small: Sfu) -> None:
    room = small.open_room("r")
    alice = SfuClient(room, "alice")
    _, video = await alice.publish(AUDIO, VIDEO)
    for number in range(300):
        video.send(PAYLOAD, 3000 * number, marker=True)
    await alice.until(lambda: alice.limits == [Limit.INCOMING])
    before = small.counters()["dropped_policed"]
    assert before > 0
    room.remove_peer("alice")
    assert small.counters()["dropped_policed"] == before
    await alice.close()
