"""Pages of the real web client in headless Chromium, fed by the known sources (tests/support/media.py).

Guarantees: nothing waits for time, only for conditions in the page or answers of the program; what the page does is
watched by tests/support/page_probe.js and never changed. Buttons and fields are found by role and name, as a person
with a screen reader finds them.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Route, async_playwright

from tests.support import media

FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Several pages share one browser; none of them may be treated as hidden.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)
WAIT_S = 20.0
POLL_S = 0.1
FOLDER = Path(__file__).parent

Json = dict[str, Any]


def executable() -> str | None:
    """The browser under test: $CHROMIUM, else `chromium` or `google-chrome` on the PATH."""
    names = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else ["chromium", "google-chrome"]
    return next(filter(None, map(shutil.which, names)), None)


@dataclass(frozen=True)
class SentFrame:
    """What a page's encoder handed to RTP."""

    session_s: float
    """When, on the session clock; the page's own mapping, good to a few milliseconds."""
    timestamp: int
    """RTP timestamp, 32 bits."""
    is_key: bool
    checksum: int
    """CRC-32 of the encoded frame. VP8 and Opus go into a file as they are, other codecs are framed anew."""


@dataclass
class RoomPage:
    """One participant's page."""

    page: Page
    name: str
    console: list[str] = field(default_factory=list)

    async def until(self, expression: str, argument: object = None, *, timeout_s: float = WAIT_S) -> None:
        """Wait until a JavaScript function of `argument`, async or not, gives something truthy in the page."""
        deadline_s = time.monotonic() + timeout_s
        # Not the driver's own waiting: it takes the promise of an async function for its result.
        while not await self.page.evaluate(expression, argument):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{self.name} waited in vain for {expression}: {await self.describe()}")
            await asyncio.sleep(POLL_S)

    async def describe(self) -> str:
        """For messages of failed tests."""
        states = await self.page.evaluate("__probe.connections.map((c) => `${c.connectionState}/${c.signalingState}`)")
        errors = await self.page.evaluate("__probe.errors")
        status = await self.page.locator("body").inner_text()
        return f"connections {states}, errors {errors}, console {self.console[-10:]}, page: {status[:600]!r}"

    async def connected(self) -> None:
        """Every peer connection that was negotiated is up; the one to subscribe exists only once others send."""
        await self.until("""() => {
            const begun = __probe.connections.filter((c) => c.remoteDescription && c.connectionState !== 'closed');
            return begun.length > 0 && begun.every((c) => c.connectionState === 'connected');
        }""")

    async def plays(self, videos: int) -> None:
        """At least so many videos of others really play."""
        await self.until("(wanted) => __probe.playing() >= wanted", videos)

    async def publishes(self) -> None:
        """Its microphone and camera are on their way."""
        await self.until("() => __probe.sent.filter((sender) => sender.frames.length > 5).length >= 2")

    async def hears(self, tracks: int) -> None:
        """So many received audio tracks carry sound."""
        script = """async (wanted) => (await __probe.stats('inbound-rtp'))
            .filter((s) => s.kind === 'audio' && s.totalAudioEnergy > 0).length >= wanted"""
        await self.until(script, tracks)

    async def numbers(self) -> list[int | None]:
        """Frame numbers that the videos of the others show now."""
        read: list[int | None] = await self.page.evaluate("__probe.numbers()")
        return read

    async def stats(self, *types: str) -> list[Json]:
        """getStats reports of these types over all peer connections."""
        reports: list[Json] = await self.page.evaluate("(types) => __probe.stats(...types)", list(types))
        return reports

    async def sent(self, kind: str) -> list[SentFrame]:
        """All that the encoder of this page's camera (`video`) or microphone (`audio`) made so far."""
        offset_ms, frames = await self.page.evaluate(
            """(kind) => [__probe.sessionOffset,
            __probe.sent.filter((sender) => sender.kind === kind).flatMap((sender) => sender.frames)]""",
            kind,
        )
        return [
            SentFrame((wall_ms + offset_ms) / 1000, timestamp, type == "key", checksum)
            for wall_ms, timestamp, type, checksum in frames
        ]

    async def noted(self, frames: int) -> None:
        """The probe heard of so many video frames; its notes come from a worker."""
        script = """(wanted) => __probe.sent.filter((sender) => sender.kind === 'video')
            .reduce((sum, sender) => sum + sender.frames.length, 0) >= wanted"""
        await self.until(script, frames)

    async def participant_id(self) -> str:
        id: str = await self.page.evaluate("__probe.participantId")
        return id

    async def sends_for(self, media_s: float) -> None:
        """Its microphone sent this much sound from now on: the way to let media flow without watching a clock."""
        packets = round(media_s * 50)
        count = "__probe.sent.filter((s) => s.kind === 'audio').reduce((sum, s) => sum + s.frames.length, 0)"
        before = await self.page.evaluate(count)
        await self.until(f"(wanted) => {count} >= wanted", before + packets)

    async def start_recording(self) -> None:
        await self.page.get_by_role("button", name="Start recording").click()
        await self.page.get_by_role("button", name="Stop recording").wait_for()

    async def stop_recording(self) -> None:
        await self.page.get_by_role("button", name="Stop recording").click()
        await self.page.get_by_role("button", name="Start recording").wait_for()

    async def errors(self) -> list[str]:
        found: list[str] = await self.page.evaluate("__probe.errors")
        return found


class Rooms:
    """A running browser; every participant gets a context of its own (own storage, own OPFS)."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.pages: list[RoomPage] = []

    async def join(self, url: str, name: str, scripts: Sequence[str] = ()) -> RoomPage:
        """Open a host's or guest's link, join under this name, and wait until connected and sending. `scripts`: run in
        every page before its own."""
        context = await self.browser.new_context(viewport={"width": 1000, "height": 700})
        await context.grant_permissions(["camera", "microphone"])
        await watch(context)
        for script in scripts:
            await context.add_init_script(script)
        room = RoomPage(await context.new_page(), name)
        self.pages.append(room)
        room.page.on("console", lambda message: room.console.append(_line(message)))
        await room.page.goto(url)
        await room.page.get_by_label("Your name").fill(name)
        await room.page.get_by_role("button", name="Join").click()
        await room.publishes()
        await room.connected()
        return room


async def watch(context: BrowserContext) -> None:
    """Put the probe into every page of this context."""

    async def worker(route: Route) -> None:
        body = (FOLDER / "page_probe_worker.js").read_text()
        await route.fulfill(body=body, content_type="text/javascript")

    await context.route("**/static/__probe_worker.js", worker)
    await context.add_init_script(path=FOLDER / "page_probe.js")


@asynccontextmanager
async def chromium(microphone: Path | None = None, shared: str = "") -> AsyncIterator[Rooms]:
    """Launch the browser; RuntimeError when there is none. `microphone`: a wav file in place of the known sound.
    `shared`: there are no devices, and whoever asks for a screen gets the tab with this title."""
    path = executable()
    if path is None:
        raise RuntimeError("no chromium: set CHROMIUM or install it")
    sources = (
        f"--use-file-for-fake-video-capture={media.camera()}",
        f"--use-file-for-fake-audio-capture={microphone or media.microphone()}",
    )
    flags = [*FLAGS, *sources]
    if shared:
        flags = [flag for flag in FLAGS if not flag.startswith("--use-fake")]
        flags.append(f"--auto-select-tab-capture-source-by-title={shared}")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, headless=True, args=flags)
        try:
            yield Rooms(browser)
        finally:
            await browser.close()


def _line(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"
