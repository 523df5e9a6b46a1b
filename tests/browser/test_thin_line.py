"""A viewer whose line gets thin is sent a smaller picture, is told so, hears everything, and gets the large one back;
one whose line is a little too thin gets the large one with fewer frames.

How quickly is held by plans in virtual time (tests/impairment/test_thin_downlink.py); here twice that is allowed,
because browsers share two cores with whatever else runs.
"""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.api import Json
from tests.support.chromium import RoomPage, chromium
from tests.support.proxy import ImpairmentProxy, Line
from tests.support.studio import Studio, start_studio

THIN = Line(rate_bps=300_000, queue_s=0.5)
THIN_S = 8.0
NARROW_SHARE = 0.9
"""Of what is sent without a limit: less than all frames need, and more than half of them do, which is 60 %."""
ATTEMPTS = 10
"""On a busy machine a camera's bitrate moves by as much as the frames that are left out."""
WHOLE = "() => document.querySelector('.tile:not(.tile-own) .tile-delivery').hidden"
REDUCED = "() => !document.querySelector('.tile:not(.tile-own) .tile-delivery').hidden"
"""What the page says of the one picture that it is sent."""
LARGE = {"width": 1000, "height": 700}


async def shows(room: RoomPage, height: int) -> float:
    """Wait until the one picture that this page receives has so many lines; how long it took."""
    began_s = time.monotonic()
    script = """async (height) => (await __probe.stats('inbound-rtp'))
        .some((s) => s.kind === 'video' && s.frameHeight === height)"""
    await room.until(script, height)
    return time.monotonic() - began_s


async def sound(room: RoomPage) -> Json:
    (one,) = [s for s in await room.stats("inbound-rtp") if s["kind"] == "audio"]
    return one


async def said_of_the_picture(room: RoomPage) -> str:
    return await room.page.locator(".tile:not(.tile-own) .tile-delivery").inner_text()


async def port_of(studio: Studio, session_id: str, room: RoomPage) -> int:
    """From where the server sees the connection on which this participant is sent what others publish."""
    figures = await figures_of(studio, session_id, room)
    return int(figures["subscribe"]["address"].rpartition(":")[2])


async def pictures(room: RoomPage) -> tuple[int, int]:
    """Of the one picture that this page receives: frames that were decoded, and key frames that were asked for."""
    (one,) = [s for s in await room.stats("inbound-rtp") if s["kind"] == "video"]
    return one["framesDecoded"], one["pliCount"]


async def figures_of(studio: Studio, session_id: str, room: RoomPage) -> Json:
    stats, id = await studio.operators(f"/api/v1/rooms/{session_id}/stats"), await room.participant_id()
    (one,) = [p for p in stats["media"]["participants"] if p["participant_id"] == id]
    figures: Json = one
    return figures


async def frames_shown(publisher: RoomPage, viewer: RoomPage, seconds: float) -> tuple[float, int]:
    """The share of the frames of the largest layer that the viewer decodes, and key frames that it asks for."""
    script = """async () => Math.max(...(await __probe.stats('outbound-rtp'))
        .filter((s) => s.kind === 'video' && s.frameHeight === 360).map((s) => s.framesSent))"""
    sent, shown = await publisher.page.evaluate(script), await pictures(viewer)
    await publisher.sends_for(seconds)
    sent_after, shown_after = await publisher.page.evaluate(script), await pictures(viewer)
    return (shown_after[0] - shown[0]) / (sent_after - sent), shown_after[1] - shown[1]


async def narrow(
    studio: Studio, session_id: str, ann: RoomPage, bob: RoomPage, proxy: ImpairmentProxy
) -> tuple[Json, tuple[float, int], str]:
    """Make Bob's line a little too thin for all frames of Ann's camera: his view of it as operators see it, what was
    shown meanwhile, and what his page said."""
    for _ in range(ATTEMPTS):
        await figures_of(studio, session_id, ann)  # bitrates are means since they were read before
        await ann.sends_for(2.0)
        tracks = (await figures_of(studio, session_id, ann))["tracks"]
        sent_bps = sum(max(encoding["bitrate_bps"] for encoding in track["encodings"]) for track in tracks)
        proxy.out = Line(rate_bps=NARROW_SHARE * sent_bps, queue_s=0.5)
        await ann.sends_for(3.0)
        before = await view(studio, session_id, bob)
        frames = await frames_shown(ann, bob, 3.0)
        said, after = await said_of_the_picture(bob), await view(studio, session_id, bob)
        if (before["rid"], before["temporal_layer"]) == ("h", 1) == (after["rid"], after["temporal_layer"]):
            return after, frames, said
    raise AssertionError(f"never the large picture with fewer frames: {after}")


async def view(studio: Studio, session_id: str, room: RoomPage) -> Json:
    """The one picture that it is sent."""
    (one,) = [s for s in (await figures_of(studio, session_id, room))["subscriptions"] if s["wanted_height"]]
    subscription: Json = one
    return subscription


class Seen:
    down_s: float
    up_s: float
    before: Json
    after: Json
    said: list[str]
    ann_said: str
    narrow: Json
    """Bob's view of Ann's camera, as operators see it, while his line is a little too thin."""
    narrow_frames: tuple[float, int]
    narrow_said: str
    dropped: Json
    """Of what Bob said on the connection over which he is sent the others."""
    free_frames: tuple[float, int]
    errors: list[str]


async def meeting(folder: Path) -> Seen:
    seen = Seen()
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        overrides = {"media": {"advertise": [f"127.0.0.1:{proxy.port}"], "simulcast": True}}
        async with start_studio(folder / "studio", overrides) as studio, chromium() as rooms:
            proxy.upstream = ("127.0.0.1", studio.media_port)
            session = await studio.create_session("A thin line")
            ann = await rooms.join(session["host_url"], "Ann")
            bob = await rooms.join(session["guest_url"], "Bob")
            for room in (ann, bob):
                await room.page.set_viewport_size(LARGE)
                await room.plays(1)
                await shows(room, 360)
                await room.until(WHOLE)
            seen.said = [await said_of_the_picture(bob)]
            proxy.only = await port_of(studio, session["session_id"], bob)
            proxy.out = THIN
            seen.down_s = await shows(bob, 180)
            await ann.sends_for(2.0)
            seen.before = await sound(bob)
            await ann.sends_for(THIN_S)
            seen.after = await sound(bob)
            seen.said.append(await said_of_the_picture(bob))
            seen.ann_said = await said_of_the_picture(ann)
            await bob.page.screenshot(path=folder / "thin.png")
            proxy.out = Line()
            seen.up_s = await shows(bob, 360)
            await shows(ann, 360)
            await bob.until(WHOLE)
            seen.narrow, seen.narrow_frames, seen.narrow_said = await narrow(
                studio, session["session_id"], ann, bob, proxy
            )
            seen.dropped = (await figures_of(studio, session["session_id"], bob))["subscribe"]["dropped"]
            proxy.out = Line()
            await bob.until(WHOLE)
            seen.free_frames = await frames_shown(ann, bob, 3.0)
            seen.errors = await ann.errors() + await bob.errors()
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(meeting(tmp_path_factory.mktemp("thin")))


def test_the_smaller_layer_comes_soon_and_the_large_one_is_back_soon(seen: Seen) -> None:
    assert seen.down_s < 6
    assert seen.up_s < 20


def test_everything_is_heard_through_the_thin_line(seen: Seen) -> None:
    samples = seen.after["totalSamplesReceived"] - seen.before["totalSamplesReceived"]
    concealed = seen.after["concealedSamples"] - seen.before["concealedSamples"]
    assert samples > 48_000 * THIN_S * 0.8
    assert concealed < 0.02 * samples


def test_the_page_says_that_the_picture_is_reduced_for_its_network(seen: Seen) -> None:
    assert seen.said == ["", "Reduced for your network"]


def test_a_line_that_is_a_little_too_thin_costs_frames_and_neither_size_nor_key_frames(seen: Seen) -> None:
    shown, asked_for = seen.narrow_frames
    assert 0.35 < shown < 0.65
    assert asked_for == 0
    assert seen.narrow["fitting_rid"] == "h"
    assert seen.narrow["reason"] == "network"
    assert seen.narrow_said == "Reduced for your network"
    assert seen.free_frames[0] > 0.85


def test_everything_that_the_viewer_reports_is_read(seen: Seen) -> None:
    assert seen.dropped == {}


def test_the_others_notice_nothing(seen: Seen) -> None:
    assert seen.ann_said == ""


def test_no_page_reported_an_error(seen: Seen) -> None:
    assert seen.errors == []
