"""A large file of the recorder's own writer, served by the studio: Chromium knows its length at once and shows any
place of it for a few requests. `make large`: with 2 GB."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import CDPSession, Page

from recorder.settings import RecorderSettings
from recorder.track_file import TrackFile
from storage.folder import FolderStore
from storage.signing import load_secret
from tests.support.chromium import Json, Rooms, watch
from tests.support.encoded import vp8_frames
from tests.support.media import FPS
from tests.support.studio import start_studio

BYTES = int(os.environ.get("STEMROOM_LARGE_BYTES", "200_000_000"))
KEY_EVERY = 10 * FPS
"""Frames; more often than browsers send a key frame unasked."""
TICKS = 90_000 // FPS
PLACES = (0.9, 0.1, 0.5, 0.999, 0.25)
"""Shares of the length, there and back."""
REQUESTS = 6
"""For one seek, on the average at most: to where it is, and what Chromium reads further and gives up."""
SHARE = 0.1
"""Of the file, received at most for all of it."""
OPEN = """(url) => new Promise((resolve, reject) => {
    const video = document.createElement('video');
    video.muted = true;
    video.onloadeddata = () => resolve(video.duration);
    video.onerror = () => reject(new Error(video.error.message));
    video.src = url;
    document.body.replaceChildren(video);
})"""
SEEK = """(to) => new Promise((resolve) => {
    const video = document.querySelector('video');
    const shown = (_, frame) => {
        if (Math.abs(frame.mediaTime - to) < 1) resolve(frame.mediaTime);
        else video.requestVideoFrameCallback(shown);  // what was there before
    };
    video.requestVideoFrameCallback(shown);
    video.currentTime = to;
})"""


@dataclass
class Traffic:
    """Of one page, for what is under `/objects/`."""

    requests: int = 0
    received_bytes: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    _ids: set[str] = field(default_factory=set)

    async def listen(self, page: Page) -> CDPSession:
        session = await page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.dataReceived", self._received)
        await session.send("Network.enable")
        return session

    def _sent(self, event: Json) -> None:
        if "/objects/" in event["request"]["url"]:
            self.requests += 1
            self._ids.add(event["requestId"])

    def _answered(self, event: Json) -> None:
        if event["requestId"] in self._ids:
            self.statuses[event["response"]["status"]] += 1

    def _received(self, event: Json) -> None:
        if event["requestId"] in self._ids:
            self.received_bytes += event["dataLength"]


def write(path: Path) -> int:
    """Ten seconds over and over, numbered, until they are so many bytes; how many frames."""
    frames = vp8_frames(KEY_EVERY, keyframe_every=KEY_EVERY)
    file = TrackFile(path, "vp8", 90_000, RecorderSettings().index_bytes)
    file.open((640, 360))
    number = size = 0
    while size < BYTES:
        for place, frame in enumerate(frames):
            file.write(frame, number * TICKS, TICKS, place == 0)
            number += 1
            size += len(frame)
    file.close()
    return number


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return tmp_path / "large.webm"


async def test_a_browser_shows_any_place_of_a_large_file_for_a_few_requests(
    large: Path, tmp_path: Path, rooms: Rooms
) -> None:
    count = write(large)
    try:
        async with start_studio(tmp_path / "studio") as studio:
            store = FolderStore(studio.data / "objects", secret=load_secret(studio.data / "secret"))
            key = "sessions/s/recordings/r/server/large.webm"
            (studio.data / "objects" / key).parent.mkdir(parents=True)
            os.rename(large, studio.data / "objects" / key)
            large = studio.data / "objects" / key
            url = studio.url + store.presign_get(key, expires_s=600)
            await store.close()
            context = await rooms.browser.new_context()
            await watch(context)
            page = await context.new_page()
            await page.goto(studio.url)
            traffic = Traffic()
            await traffic.listen(page)
            assert await page.evaluate(OPEN, url) == pytest.approx(count / FPS, abs=0.01)
            print(f"{large.stat().st_size} bytes, {count / FPS} s: opened for {traffic}")
            for share in PLACES:
                before = traffic.requests, traffic.received_bytes
                frame = int(share * count)
                shown_s = await page.evaluate(SEEK, (frame + 0.5) / FPS)
                assert shown_s == pytest.approx(frame / FPS, abs=0.002)
                assert await page.evaluate("__probe.number(document.querySelector('video'))") == frame % KEY_EVERY
                requests, received = traffic.requests - before[0], traffic.received_bytes - before[1]
                print(f"at {shown_s:.1f} s: {requests} requests, {received} bytes")
            assert traffic.requests <= REQUESTS * (1 + len(PLACES))
            assert traffic.received_bytes < SHARE * large.stat().st_size
            assert set(traffic.statuses) <= {200, 206}
            await context.close()
    finally:
        large.unlink()
