"""What a room leaves behind when everybody is gone."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from sfu import engine
from sfu.engine import Sfu
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import vp8_picture

AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)


@pytest.fixture
async def sfu_(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sfu]:
    monkeypatch.setattr(engine, "COLLECT_S", 0.1)
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await running.start()
    gc.disable()
    yield running
    gc.enable()
    await running.close()


async def talk(sfu_: Sfu, room_id: str) -> "weakref.ref[object]":
    """Two people, and then nobody."""
    room = sfu_.open_room(room_id)
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    audio, video = await alice.publish(AUDIO, VIDEO)
    await bob.subscribe()
    for n in range(10):
        audio.send(b"\x78%d" % n, 960 * n)
        video.send_frame(vp8_picture(n, 6, key=n == 0), 3000 * n)
    await bob.until(lambda: len(bob.got) == 70)
    left = weakref.ref(room)
    await alice.close()
    await bob.close()
    return left


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_nothing_is_left_of_the_last_room(sfu_: Sfu) -> None:
    left = await talk(sfu_, "r")
    sfu_.close_room("r")
    await until(lambda: left() is None)


async def test_nobody_waits_for_a_search_while_another_room_is_open(sfu_: Sfu, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[int] = []
    monkeypatch.setattr(engine.gc, "collect", lambda: searches.append(len(sfu_.rooms)))
    sfu_.open_room("other")
    await talk(sfu_, "r")
    sfu_.close_room("r")
    sfu_.close_room("other")
    await until(lambda: bool(searches))
    assert searches == [0]
