"""A viewer whose line gets thin is sent a smaller picture, is told so, hears everything, and gets the large one back.

How quickly is held by plans in virtual time (tests/unit/test_sfu_thin_downlink.py); here twice that is allowed, because
browsers share two cores with whatever else runs.
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


async def port_of(studio: Studio, session_id: str, participant_id: str) -> int:
    """From where the server sees the connection on which this participant is sent what others publish."""
    stats = await studio.operators(f"/api/v1/rooms/{session_id}/stats")
    (one,) = [p for p in stats["media"]["participants"] if p["participant_id"] == participant_id]
    return int(one["subscribe"]["address"].rpartition(":")[2])


class Seen:
    down_s: float
    up_s: float
    before: Json
    after: Json
    said: list[str]
    ann_said: str
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
            seen.said = [await said_of_the_picture(bob)]
            proxy.only = await port_of(studio, session["session_id"], await bob.participant_id())
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


def test_the_page_says_that_the_picture_is_smaller_for_its_network(seen: Seen) -> None:
    assert seen.said == ["", "Smaller for your network"]


def test_the_others_notice_nothing(seen: Seen) -> None:
    assert seen.ann_said == ""


def test_no_page_reported_an_error(seen: Seen) -> None:
    assert seen.errors == []
