"""What goes wrong with a device in a real browser is told to the host while it is recorded, and that it is over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from tests.support.chromium import RoomPage, Rooms
from tests.support.evidence import collect
from tests.support.studio import Studio

SETTLE_MS = 30_000

SENDER = """(kind) => {
    const senders = __probe.connections.filter((c) => c.connectionState === 'connected').flatMap((c) => c.getSenders());
    const sender = senders.find((one) => (one.track ?? one.was)?.kind === kind);
    sender.was ??= sender.track;
    return sender;
}"""
"""The page's own; what it sent at first stays known as `was`."""

NOTHING = f"(kind) => ({SENDER})(kind).replaceTrack(null)"
AGAIN = f"""(kind) => {{
    const sender = ({SENDER})(kind);
    return sender.replaceTrack(sender.was);
}}"""

ZEROS = f"""(kind) => {{
    const context = new AudioContext({{ sampleRate: 48000 }});
    const silence = context.createConstantSource();
    silence.offset.value = 0;
    const out = context.createMediaStreamDestination();
    silence.connect(out);
    silence.start();
    return ({SENDER})(kind).replaceTrack(out.stream.getAudioTracks()[0]);
}}"""
LOUD = f"""(kind) => {{
    const context = new AudioContext({{ sampleRate: 48000 }});
    const tone = new OscillatorNode(context, {{ frequency: 220 }});
    const loud = new GainNode(context, {{ gain: 20 }});
    const out = context.createMediaStreamDestination();
    tone.connect(loud).connect(out);
    tone.start();
    return ({SENDER})(kind).replaceTrack(out.stream.getAudioTracks()[0]);
}}"""
PAINTED = f"""(kind) => {{
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 360];
    const context = canvas.getContext('2d');
    const draw = () => {{
        context.fillStyle = 'black';
        context.fillRect(0, 0, 640, 360);
        context.fillStyle = 'orange';
        for (let place = 0; place < SHAPES; place++) context.fillRect((place * 97) % 640, (place * 61) % 360, 30, 20);
    }};
    draw();
    setInterval(draw, 33);
    return ({SENDER})(kind).replaceTrack(canvas.captureStream(30).getVideoTracks()[0]);
}}"""
BLACK, STILL = PAINTED.replace("SHAPES", "0"), PAINTED.replace("SHAPES", "40")


class Watched:
    def __init__(self, studio: Studio, session: dict[str, str], host: RoomPage, guest: RoomPage) -> None:
        self.studio, self.session, self.host, self.guest = studio, session, host, guest

    def warning(self, words: str) -> Locator:
        warnings = self.host.page.get_by_role("list", name="Warnings about the recording").get_by_role("listitem")
        return warnings.filter(has_text=words)

    async def told(self, script: str, kind: str, words: str) -> float:
        """Run it in the guest's page; after how many seconds the host reads `words`."""
        await self.guest.page.evaluate(script, kind)
        began = await self.host.page.evaluate("performance.now()")
        await expect(self.warning(words)).to_be_visible(timeout=SETTLE_MS)
        seconds: float = (await self.host.page.evaluate("performance.now()") - began) / 1000
        print(f"{words!r} after {seconds:.1f} s")
        return seconds

    async def over(self, script: str, kind: str, words: str) -> None:
        await self.guest.page.evaluate(script, kind)
        await expect(self.warning(words)).to_have_count(0, timeout=SETTLE_MS)

    async def notices(self, folder: Path) -> list[str]:
        """Stop; the codes of all that the manifest has."""
        recording_id = await self.host.page.evaluate("stemroom.state.recording.recording_id")
        await self.host.stop_recording()
        evidence = await collect(self.studio, self.session, recording_id, [], folder, local_copies=0)
        return [notice["code"] for notice in evidence.manifest["notices"]]


@asynccontextmanager
async def watched(studio: Studio, rooms: Rooms) -> AsyncIterator[Watched]:
    session = await studio.create_session("What is wrong")
    host = await rooms.join(session["host_url"], "Ann")
    guest = await rooms.join(session["guest_url"], "Bob")
    await host.plays(1)
    await host.start_recording()
    await guest.sends_for(3)
    yield Watched(studio, session, host, guest)
    assert await host.errors() + await guest.errors() == []


@pytest.mark.pain("4")
@pytest.mark.parametrize(("kind", "words"), [("audio", "Bob\u2069’s microphone"), ("video", "Bob\u2069’s camera")])
async def test_a_device_that_gives_nothing_any_more(
    kind: str, words: str, studio: Studio, rooms: Rooms, tmp_path: Path
) -> None:
    async with watched(studio, rooms) as call:
        assert await call.warning("").count() == 0
        await call.told(NOTHING, kind, words)
        await call.host.page.screenshot(path=tmp_path / "stalled.png")
        await call.over(AGAIN, kind, words)
        files = tmp_path / "files"
        files.mkdir()
        assert "capture_stalled" in await call.notices(files)


@pytest.mark.parametrize(
    ("script", "kind", "words", "code"),
    [
        pytest.param(ZEROS, "audio", "microphone is on and gives no sound", "digital_silence", id="zeros"),
        pytest.param(LOUD, "audio", "microphone is too loud and distorts", "clipping", id="loud"),
        pytest.param(BLACK, "video", "camera is on and shows black", "black_picture", id="black"),
        pytest.param(STILL, "video", "camera stands still", "frozen_picture", id="frozen"),
    ],
)
async def test_what_the_recorder_hears_and_sees(
    script: str, kind: str, words: str, code: str, studio: Studio, rooms: Rooms, tmp_path: Path
) -> None:
    async with watched(studio, rooms) as call:
        await call.told(script, kind, words)
        await call.host.page.screenshot(path=tmp_path / "told.png")
        await call.over(AGAIN, kind, words)
        files = tmp_path / "files"
        files.mkdir()
        assert code in await call.notices(files), "a starved browser may have stalled as well"
