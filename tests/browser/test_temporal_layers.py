"""Temporal layers of real Chromium, left out for a viewer and given back: it goes on to decode, without a key frame.

The media plane runs in this process; one page both publishes and watches.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from sfu.codecs.temporal import TOP
from sfu.engine import Sfu
from sfu.interfaces import PeerObserver, SubscribedTrack, TrackKind, TrackRequest
from sfu.settings import MediaSettings
from sfu.subscription import Subscription
from sfu.track import Track
from tests.support import media
from tests.support.chromium import FLAGS, executable

SCRIPT = """
const state = {};
async function publish(codec) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
  state.sender = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const transceiver = state.sender.addTransceiver(stream.getVideoTracks()[0],
      { direction: 'sendonly', sendEncodings: [{ scalabilityMode: 'L1T3', maxBitrate: 600000 }] });
  const codecs = RTCRtpSender.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(codecs.filter((c) => [`video/${codec}`, 'video/rtx'].includes(c.mimeType)));
  await state.sender.setLocalDescription(await state.sender.createOffer());
  return state.sender.localDescription.sdp;
}
async function watch(sdp) {
  state.receiver = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  state.receiver.ontrack = ({ streams }) => {
    const video = document.querySelector('video');
    video.srcObject = streams[0];
    void video.play();
  };
  await state.receiver.setRemoteDescription({ type: 'offer', sdp });
  await state.receiver.setLocalDescription(await state.receiver.createAnswer());
  return state.receiver.localDescription.sdp;
}
async function report(pc, type) {
  return [...(await pc.getStats()).values()].find((s) => s.type === type && s.kind === 'video') ?? {};
}
async function frames(side, type, which) {
  return (await report(state[side], type))[which] ?? 0;
}
"""
RUN_FRAMES = 90
WAIT_S = 30.0
"""AV1 is encoded at 10 frames a second where two cores do everything."""


class Observer(PeerObserver):
    """Keeps offers; hears nothing else."""

    def __init__(self, offers: asyncio.Queue[tuple[int, str]]) -> None:
        self._offers = offers

    def subscribe_offer(self, offer_id: int, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        self._offers.put_nowait((offer_id, sdp))


class Meeting:
    """Chromium sends to the media plane, and gets it back."""

    def __init__(self, page: Page, track: Track, subscription: Subscription) -> None:
        self.page = page
        self.track = track
        self.subscription = subscription

    async def sent(self) -> int:
        found: int = await self.page.evaluate(
            "async () => (await report(state.sender, 'outbound-rtp')).framesEncoded ?? 0"
        )
        return found

    async def received(self) -> dict[str, float]:
        found: dict[str, float] = await self.page.evaluate("async () => await report(state.receiver, 'inbound-rtp')")
        return found

    async def run(self, limit: int) -> tuple[float, float]:
        """Take the temporal layers up to this one: (frames decoded for each one sent, key frames among them)."""
        self.track.limit(self.subscription, limit)
        await self.until_sent(RUN_FRAMES // 3)
        sent, before = await self.sent(), await self.received()
        await self.until_sent(RUN_FRAMES)
        after = await self.received()
        frames = after["framesDecoded"] - before["framesDecoded"]
        return frames / (await self.sent() - sent), after["keyFramesDecoded"] - before["keyFramesDecoded"]

    async def until_sent(self, frames: int) -> None:
        wanted = await self.sent() + frames
        async with asyncio.timeout(WAIT_S):
            while await self.sent() < wanted:
                await asyncio.sleep(0.1)


async def blank(_request: web.Request) -> web.Response:
    return web.Response(text="<video muted></video>", content_type="text/html")


@asynccontextmanager
async def meeting(codec: str) -> AsyncIterator[Meeting]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), video_codecs=(codec,)))
    await sfu.start()
    room = sfu.open_room("r")
    offers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    publisher, viewer = room.add_peer("ann", Observer(offers)), room.add_peer("bob", Observer(offers))
    app = web.Application()
    app.router.add_get("/", blank)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    source = f"--use-file-for-fake-video-capture={media.camera()}"
    try:
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=executable(), headless=True, args=[*FLAGS, source])
            page = await browser.new_page()
            await page.goto(f"http://{host}:{port}/")
            await page.add_script_tag(content=SCRIPT)
            answer = publisher.publish(await page.evaluate("publish", codec), [TrackRequest("0", TrackKind.CAMERA)])
            await page.evaluate("(sdp) => state.sender.setRemoteDescription({ type: 'answer', sdp })", answer)
            viewer.start_subscriptions()
            offer_id, offer = await offers.get()
            answered = await page.evaluate("watch", offer)
            # Without reports of arrivals nothing is divided, and the layers are what the test says.
            told = [line for line in answered.splitlines() if not re.search("transport-(wide-)?cc|goog-remb", line)]
            viewer.subscribe_answer(offer_id, "\r\n".join(told) + "\r\n")
            (track,) = publisher.publisher.tracks.values()
            async with asyncio.timeout(WAIT_S):
                while (
                    await page.evaluate("async () => (await report(state.receiver, 'inbound-rtp')).framesDecoded ?? 0")
                ) < 10:
                    await asyncio.sleep(0.1)
            (subscription,) = track.subscriptions
            yield Meeting(page, track, subscription)
            await browser.close()
    finally:
        await runner.cleanup()
        await sfu.close()


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1"])
async def test_fewer_temporal_layers_are_fewer_frames_and_all_come_back(codec: str) -> None:
    async with meeting(codec) as room:
        (encoding,) = room.track.encodings()
        assert encoding.top_layer == 2
        assert await room.run(TOP) == (pytest.approx(1.0, abs=0.15), 0)
        assert await room.run(0) == (pytest.approx(0.25, abs=0.1), 0)
        assert await room.run(1) == (pytest.approx(0.5, abs=0.12), 0)
        assert await room.run(TOP) == (pytest.approx(1.0, abs=0.15), 0)
        assert encoding.views == []
        shown = await room.received()
        assert shown["pliCount"] <= 1
        assert shown["packetsLost"] == 0
