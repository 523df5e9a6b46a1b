"""With simulcast on a camera is sent in several sizes: a viewer gets the one that fits its tile, the file the best.

With VP8 and with H264, which has its parameter sets in the stream."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import counter
from tests.support.api import Json
from tests.support.chromium import RoomPage, chromium
from tests.support.evidence import Evidence, collect
from tests.support.studio import start_studio

LARGE = {"width": 1000, "height": 700}
SMALL = {"width": 340, "height": 420}
RECORDED_S = 4.0
SHARE, AWAY = 0.8, 4
"""Of the frames that were sent, decoded at least; and so many are still on their way or in a jitter buffer."""


async def shows(room: RoomPage, height: int) -> None:
    """The one picture that this page receives has so many lines."""
    script = """async (height) => (await __probe.stats('inbound-rtp'))
        .some((s) => s.kind === 'video' && s.frameHeight === height)"""
    await room.until(script, height)


async def layers(room: RoomPage) -> list[Json]:
    """Reports of what this page sends, the smallest picture first."""
    sent = [s for s in await room.stats("outbound-rtp") if s["kind"] == "video" and s.get("framesEncoded")]
    return sorted(sent, key=lambda report: report["frameHeight"])


class Seen:
    codec: str
    evidence: Evidence
    layers: list[Json]
    moments: list[tuple[int, list[int]]]
    """Before the change to the small layer, before that to the large one, and two seconds after it: frames that Bob's
    page decoded, and that Ann's sent of each layer."""
    video: Json
    """What Bob's page received, at the end."""
    subscriptions: list[Json]
    ann: str
    errors: list[str]


async def received(room: RoomPage) -> Json:
    (video,) = [s for s in await room.stats("inbound-rtp") if s["kind"] == "video"]
    return video


async def frames(ann: RoomPage, bob: RoomPage) -> tuple[int, list[int]]:
    """That Bob's page decoded, and before that Ann's sent of each layer."""
    sent = [layer["framesSent"] for layer in await layers(ann)]
    return (await received(bob))["framesDecoded"], sent


async def meeting(folder: Path, codec: str) -> Seen:
    seen = Seen()
    overrides = {"media": {"simulcast": True, "video_codecs": [codec]}}
    async with start_studio(folder / "studio", overrides) as studio, chromium() as rooms:
        session = await studio.create_session("In two sizes")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        await bob.plays(1)
        await shows(bob, 360)
        await ann.start_recording()
        await ann.sends_for(RECORDED_S / 2)
        seen.moments = [await frames(ann, bob)]
        await bob.page.set_viewport_size(SMALL)
        await shows(bob, 180)
        stats = await studio.operators(f"/api/v1/rooms/{session['session_id']}/stats")
        seen.subscriptions = [
            s for one in stats["media"]["participants"] for s in one["subscriptions"] if s["wanted_height"]
        ]
        await ann.sends_for(RECORDED_S / 2)
        seen.moments.append(await frames(ann, bob))
        await bob.page.set_viewport_size(LARGE)
        await shows(bob, 360)
        await ann.sends_for(RECORDED_S / 2)
        seen.moments.append(await frames(ann, bob))
        await ann.stop_recording()
        seen.layers = await layers(ann)
        seen.video = await received(bob)
        seen.ann = await ann.participant_id()
        seen.errors = await ann.errors() + await bob.errors()
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        seen.evidence = await collect(studio, session, recording["recording_id"], [], folder, local_copies=2)
    return seen


@pytest.fixture(scope="module", params=["VP8", "H264"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    seen = asyncio.run(meeting(tmp_path_factory.mktemp("simulcast"), request.param))
    seen.codec = request.param
    return seen


def test_the_camera_is_sent_in_two_sizes(seen: Seen) -> None:
    assert [(report["rid"], report["frameHeight"]) for report in seen.layers] == [("l", 180), ("h", 360)]


def test_it_is_sent_and_recorded_with_the_first_codec_of_the_settings(seen: Seen) -> None:
    cameras = [f for f in seen.evidence.files if f.take["kind"] == "camera" and f.segment["copy"] == "server"]
    assert {file.report.stream("video").codec for file in cameras} == {seen.codec.lower()}


def test_a_small_tile_gets_the_small_layer_and_a_large_one_the_large_layer(seen: Seen) -> None:
    """`shows` waited for both; the server says the same."""
    assert {(s["rid"], s["wanted_height"] <= 180) for s in seen.subscriptions} >= {("l", True)}


def test_while_the_layer_changes_frames_come_as_they_are_sent(seen: Seen) -> None:
    """How many those are is the encoder's affair: of noise in 200 kbit/s VP8 leaves out half."""
    for (decoded, sent), (decoded_then, sent_then) in pairwise(seen.moments):
        fewest = min(then - now for now, then in zip(sent, sent_then, strict=True))
        assert decoded_then - decoded > SHARE * fewest - AWAY, seen.moments


def test_hardly_a_frame_that_came_was_dropped(seen: Seen) -> None:
    assert seen.video["framesDropped"] < 0.1 * seen.video["framesReceived"]


def test_the_file_has_the_large_layer_alone_and_every_frame_is_readable(seen: Seen) -> None:
    (camera,) = [
        file
        for file in seen.evidence.files
        if file.take["participant_id"] == seen.ann
        and file.take["kind"] == "camera"
        and file.segment["copy"] == "server"
    ]
    assert set(camera.report.stream("video").sizes) == {(640, 360)}
    assert camera.report.sound
    readings = counter.read_file(camera.path)
    assert [reading.time_s for reading in readings if reading.number is None] == []
    assert len(readings) > 0.5 * 30 * RECORDED_S
    assert [gap for gap in camera.segment["gaps"] if gap["reason"] == "lost"] == []


def test_no_page_reported_an_error(seen: Seen) -> None:
    assert seen.errors == []
