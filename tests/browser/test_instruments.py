"""The browser's instruments alone, without the program: the known camera is seen and every sent frame is noted."""

import pytest
from playwright.async_api import Route

from tests.support.chromium import RoomPage, Rooms, watch

ORIGIN = "http://localhost:9"
"""Nothing listens there; the test answers in the browser."""
PAGE = "<!doctype html><title>Loopback</title><video autoplay muted></video>"
LOOPBACK = """async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = (event) => to.addIceCandidate(event.candidate);
  to.onicecandidate = (event) => from.addIceCandidate(event.candidate);
  to.ontrack = (event) => { document.querySelector('video').srcObject = event.streams[0]; };
  for (const track of stream.getTracks()) from.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription);
}"""


async def answer(route: Route) -> None:
    if route.request.url.endswith("__probe_worker.js"):
        await route.fallback()
    else:
        await route.fulfill(body=PAGE, content_type="text/html")


async def test_the_camera_is_seen_heard_and_every_sent_frame_is_noted(rooms: Rooms) -> None:
    context = await rooms.browser.new_context()
    await watch(context)
    await context.route("**/", answer)
    room = RoomPage(await context.new_page(), "Loopback")
    await room.page.goto(ORIGIN + "/")
    await room.page.evaluate(LOOPBACK)
    await room.plays(1)
    await room.publishes()
    await room.connected()
    await room.sends_for(1.0)
    await room.until("() => __probe.numbers().every((number) => number !== null)")
    first = await room.numbers()
    await room.until("(first) => __probe.numbers()[0] !== null && __probe.numbers()[0] !== first", first[0])
    frames = await room.page.evaluate("""async () => {
        const [report] = (await __probe.stats('outbound-rtp')).filter((s) => s.kind === 'video');
        return [report.framesSent, __probe.sent.find((s) => s.kind === 'video').frames.length];
    }""")
    assert abs(frames[0] - frames[1]) <= 3, frames
    assert await room.errors() == []


async def test_waiting_for_an_async_condition_waits_for_its_answer(rooms: Rooms) -> None:
    room = RoomPage(await rooms.browser.new_page(), "Nobody")
    await room.page.evaluate("globalThis.__probe = { connections: [], errors: [] }")
    with pytest.raises(AssertionError, match="waited in vain"):
        await room.until("async () => false", timeout_s=0.3)
    await room.until("async (wanted) => wanted === 7", 7)
