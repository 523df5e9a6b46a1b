"""The pages as people use them: by keyboard alone, without devices, over plain http, after a reload or a lost line.

Buttons and fields are found by role and name, as a screen reader offers them.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    Dialog,
    Page,
    Request,
    async_playwright,
    expect,
)

from tests.support import chromium, media
from tests.support.chromium import Rooms, watch
from tests.support.studio import Studio

SETTLE_MS = 30_000
"""Longest wait for a condition in a page; the machine may be busy."""
INSECURE_HOST = "studio.test"
"""Resolved to this machine by the browser alone: a name that is no secure context over plain http."""
UNKNOWN = "/session/ses_aaaaaaaaaaaaaaaa"
IN_ROOM = "() => stemroom.state.connection?.publish === 'connected'"
LISTENING = "() => stemroom.state.connection?.signaling === 'open' && stemroom.state.phase === 'room'"
CAPTURED = "(ms) => stemroom.state.uploads.some((u) => u.state === 'capturing' && u.captured_ms > ms)"
KEEP_LINES = """{
  const Native = window.WebSocket;
  window.lines = [];
  window.WebSocket = class extends Native { constructor(...args) { super(...args); window.lines.push(this); } };
}"""
"""Keeps the page's WebSockets in reach, to cut one."""
SAFE = "() => stemroom.state.safe && stemroom.state.uploads.length > 0"


class Watched:
    """A page and everything it complained about or asked from the network."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._requested)

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    async def all_complaints(self) -> list[str]:
        """Console, uncaught errors and violations of the policy."""
        violations: list[str] = await self.page.evaluate("__probe.errors")
        return self.complaints + violations

    async def until(self, condition: str, argument: object = None) -> None:
        await self.page.wait_for_function(condition, arg=argument, timeout=SETTLE_MS)


async def open_page(browser: Browser, *, permissions: bool = True) -> Watched:
    context = await new_context(browser, permissions=permissions)
    return Watched(await context.new_page())


async def new_context(browser: Browser, *, permissions: bool = True) -> BrowserContext:
    context = await browser.new_context(viewport={"width": 1000, "height": 700})
    if permissions:
        await context.grant_permissions(["camera", "microphone"])
    await watch(context)
    return context


async def join(watched: Watched, url: str, name: str, ready: str = IN_ROOM) -> None:
    await watched.page.goto(url)
    await watched.page.get_by_label("Your name").fill(name)
    await watched.page.get_by_role("button", name="Join").click()
    await watched.until(ready)


async def press_tab_until(page: Page, id: str) -> None:
    """Move the focus to the element with this id, as somebody without a mouse does."""
    for _ in range(40):
        if await page.evaluate("document.activeElement.id") == id:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"#{id} is not reached with Tab")


async def test_a_session_is_created_entered_and_recorded_with_the_keyboard_alone(studio: Studio, rooms: Rooms) -> None:
    host = await open_page(rooms.browser)
    page, keyboard = host.page, host.page.keyboard
    await page.goto(f"{studio.url}/")
    assert urlsplit(page.url).path == "/createsession"
    await press_tab_until(page, "title")
    await keyboard.type("Keys only")
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Keys only")).to_be_focused()
    await press_tab_until(page, "guest-link-copy")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is visible"
    await press_tab_until(page, "enter")
    await keyboard.press("Enter")

    await page.get_by_label("Your name").wait_for()
    await press_tab_until(page, "display-name")
    await keyboard.type("Kay")
    await keyboard.press("Enter")
    await host.until(IN_ROOM)

    for key, name in (("m", "Unmute"), ("v", "Camera on")):
        await keyboard.press(key)
        await expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        await keyboard.press(key)
        await expect(page.get_by_role("button", name=name)).to_have_count(0)
    await keyboard.press("r")
    await expect(page.get_by_text("Recording", exact=True)).to_be_visible()
    await host.until(CAPTURED, 2000)
    await keyboard.press("r")
    await expect(page.get_by_role("dialog", name="Stop recording for everybody?")).to_be_visible()
    await keyboard.press("Enter")
    await host.until(SAFE)
    await expect(page.get_by_role("region", name="Your local copy")).to_contain_text(
        "Everything is safe. You can leave."
    )
    await press_tab_until(page, "leave")
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="You left the session")).to_be_focused()

    assert await host.all_complaints() == []
    foreign = [url for url in host.requests if not url.startswith((studio.url, "blob:", "data:"))]
    assert foreign == [], "nothing is asked from anybody else"


async def test_keys_are_text_where_text_is_typed(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Typing")
    host = await open_page(rooms.browser)
    await join(host, session["host_url"], "Typist")
    await host.page.get_by_role("button", name="Devices").click()
    await host.page.get_by_role("combobox", name="Microphone").focus()
    await host.page.keyboard.press("m")
    await host.page.keyboard.press("r")
    await host.page.keyboard.press("Escape")
    await expect(host.page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "false")
    assert await host.page.evaluate("stemroom.room.recording") is None


async def test_every_control_has_a_name(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Names")
    host = await open_page(rooms.browser)
    nameless = """() => [...document.querySelectorAll('button, a[href], input, select')].filter((element) =>
        !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.[0]?.textContent.trim()
        || element.querySelector('img[alt]:not([alt=""])'))).map((element) => element.outerHTML)"""
    await host.page.goto(f"{studio.url}/createsession")
    assert await host.page.evaluate(nameless) == []
    await join(host, session["host_url"], "Named")
    assert await host.page.evaluate(nameless) == []
    tile = host.page.get_by_role("listitem", name="Named (you)")
    await expect(tile).to_have_attribute("aria-label", re.compile(r"^Named \(you\), Host, microphone on, camera on"))
    await host.page.goto(session["host_url"].replace("#", "/files#"))
    await expect(host.page.get_by_text("Nothing recorded yet")).to_be_visible()
    assert await host.page.evaluate(nameless) == []


async def test_coming_and_going_and_muting_is_told_to_everybody(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Heard")
    host, guest = await open_page(rooms.browser), await open_page(rooms.browser)
    await join(host, session["host_url"], "Ann")
    await join(guest, session["guest_url"], "Bob")
    said = host.page.locator("#announcer")
    await expect(said).to_contain_text("Bob joined")
    await guest.page.keyboard.press("m")
    await guest.page.keyboard.press("v")
    tile = host.page.get_by_role("listitem", name="Bob")
    await expect(tile).to_have_attribute("aria-label", re.compile(r"^Bob, microphone muted, camera off"))
    await guest.page.keyboard.press("m")
    await expect(tile).to_have_attribute("aria-label", re.compile("^Bob, microphone on, camera off"))
    await guest.page.get_by_role("button", name="Leave").click()
    await expect(said).to_contain_text("Bob left")
    await expect(tile).to_have_count(0)
    assert await host.all_complaints() == []


async def test_a_guest_cannot_record(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Guests")
    guest = await open_page(rooms.browser)
    await join(guest, session["guest_url"], "Guest")
    await guest.page.keyboard.press("r")
    await expect(guest.page.get_by_role("button", name="Start recording")).to_have_count(0)
    assert await guest.page.evaluate("stemroom.room.recording") is None


async def test_without_devices_one_joins_as_a_listener_and_is_told_what_to_do(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Listening")
    guest = await open_page(rooms.browser)
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }"
    await guest.page.add_init_script(refuse)
    await guest.page.goto(session["guest_url"])
    await expect(guest.page.get_by_role("alert").filter(has_text="not allowed")).to_contain_text("address bar")
    await expect(guest.page.get_by_text("you join as a listener")).to_be_visible()
    await guest.page.get_by_label("Your name").fill("Lis")
    await guest.page.get_by_role("button", name="Join").click()
    await guest.until(LISTENING)
    tile = guest.page.get_by_role("listitem", name="Lis (you)")
    await expect(tile).to_have_attribute("aria-label", re.compile(r"^Lis \(you\), no microphone, camera off"))
    assert await guest.all_complaints() == []


@asynccontextmanager
async def insecure_browser() -> AsyncIterator[Browser]:
    """A browser to which INSECURE_HOST is this machine."""
    flags = (*chromium.FLAGS, f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium.executable(), headless=True, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


async def test_over_plain_http_the_page_says_why_there_is_no_camera_and_how_to_get_one(studio: Studio) -> None:
    session = await studio.create_session("Plain http")
    port = urlsplit(studio.url).port
    async with insecure_browser() as browser:
        guest = await open_page(browser, permissions=False)
        await guest.page.goto(f"http://{INSECURE_HOST}:{port}/session/{session['session_id']}")
        why = guest.page.get_by_role("alert").filter(has_text="plain http")
        await expect(why).to_contain_text(f"https://{INSECURE_HOST}:{port}")
        await expect(why).to_contain_text("http.tls_cert")
        await guest.page.get_by_label("Your name").fill("Plain")
        await guest.page.get_by_role("button", name="Join").click()
        await guest.until(LISTENING)


async def test_a_reload_while_recording_comes_back_as_the_same_participant_and_loses_no_chunk(
    studio: Studio, rooms: Rooms
) -> None:
    session = await studio.create_session("Reload")
    host = await open_page(rooms.browser)
    await join(host, session["host_url"], "Rel")
    await host.page.get_by_role("button", name="Start recording").click()
    await host.until(CAPTURED, 2000)
    before = await host.page.evaluate("stemroom.state")
    asked: list[str] = []

    async def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    host.page.on("dialog", accept)
    await host.page.reload()
    await host.until(IN_ROOM)
    await host.until(CAPTURED, 1000)
    after = await host.page.evaluate("stemroom.state")
    assert asked == ["beforeunload"], "leaving while something is unsafe asks"
    assert after["participant_id"] == before["participant_id"]
    await host.page.get_by_role("button", name="Stop recording").click()
    await host.until(SAFE)
    uploads = await host.page.evaluate("stemroom.state.uploads")
    assert [upload["state"] for upload in uploads] == ["done", "done"]
    assert uploads[0]["verified_bytes"] >= before["uploads"][0]["captured_bytes"], "what was captured is there"


async def test_what_was_muted_stays_muted_after_a_reload(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Muted")
    host, guest = await open_page(rooms.browser), await open_page(rooms.browser)
    await join(host, session["host_url"], "Ann")
    await join(guest, session["guest_url"], "Bob")
    await guest.page.keyboard.press("m")
    await guest.page.keyboard.press("v")
    tile = host.page.get_by_role("listitem", name="Bob")
    await expect(tile).to_have_attribute("aria-label", re.compile(r"^Bob, microphone muted, camera off"))
    await guest.page.reload()
    await guest.until(IN_ROOM)
    senders = "stemroom.room.peerConnection('publish').getSenders().map((s) => s.track.enabled)"
    assert await guest.page.evaluate(senders) == [False, False]
    await expect(tile).to_have_attribute("aria-label", re.compile(r"^Bob, microphone muted, camera off"))
    await guest.page.keyboard.press("m")
    await expect(tile).to_have_attribute("aria-label", re.compile("^Bob, microphone on, camera off"))


BLOCK = """{
  const native = RTCPeerConnection.prototype.setRemoteDescription;
  window.open = false;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const blocked = sdp.replace(/^(a=candidate:(?:\\S+ ){2}BLOCKED (?:\\S+ ){2})\\d+/gm, '$165000');
    return native.call(this, { type, sdp: window.open ? sdp : blocked });
  };
}"""
"""Sends what is BLOCKED, `udp` or `tcp`, to a port where nobody listens."""
BLOCK_UDP = BLOCK.replace("BLOCKED", "udp")
BLOCK_ALL = BLOCK.replace("BLOCKED", "(?:udp|tcp)")


async def test_a_network_that_blocks_media_is_named(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Blocked")
    guest = await open_page(rooms.browser)
    await guest.page.add_init_script(BLOCK_ALL)
    await join(guest, session["guest_url"], "Blo", LISTENING)
    await guest.until("() => stemroom.state.connection.blocked")
    await expect(guest.page.locator("#connection-banner")).to_contain_text("block the media port (UDP and TCP)")


async def test_behind_a_network_that_blocks_udp_sound_and_picture_pass_over_tcp(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Over TCP")
    host, guest = await open_page(rooms.browser), await open_page(rooms.browser)
    await guest.page.add_init_script(BLOCK_UDP)
    await join(host, session["host_url"], "Udo")
    await join(guest, session["guest_url"], "Tom")
    for watched in (host, guest):
        await watched.until("() => stemroom.state.connection.subscribe === 'connected'")
        await watched.until("() => __probe.playing() >= 1")
        heard = """async () => (await __probe.stats('inbound-rtp'))
            .some((s) => s.kind === 'audio' && s.totalAudioEnergy > 0)"""
        await watched.page.wait_for_function(f"({heard})()", timeout=SETTLE_MS)
    ways = """async () => {
        const reports = await __probe.stats('transport', 'candidate-pair', 'remote-candidate');
        const byId = new Map(reports.map((report) => [report.id, report]));
        return reports.filter((report) => report.type === 'transport').map(
            (report) => byId.get(byId.get(report.selectedCandidatePairId).remoteCandidateId).protocol);
    }"""
    assert await host.page.evaluate(ways) == ["udp", "udp"]
    assert await guest.page.evaluate(ways) == ["tcp", "tcp"]
    await expect(guest.page.locator("#connection-banner")).to_be_hidden()
    assert await guest.all_complaints() == []


async def test_what_the_studio_cannot_take_is_said_once_and_not_offered_again(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Refused")
    guest = await open_page(rooms.browser)
    await guest.page.add_init_script(
        "{ const send = WebSocket.prototype.send; window.offers = 0; WebSocket.prototype.send = function (text) {"
        "  if (text.includes('webrtc_offer')) { offers++; text = text.replaceAll('opus/48000', 'other/48000'); }"
        "  return send.call(this, text); }; }"
    )
    await join(guest, session["guest_url"], "Ref", LISTENING)
    await expect(guest.page.get_by_role("alert").filter(has_text="no_common_codec")).to_be_visible()
    assert await guest.page.evaluate("offers") == 1


BREAK_RECORDERS = """{
  const Native = window.MediaRecorder;
  window.recorders = [];
  window.broken = 0;
  window.MediaRecorder = class extends Native {
    constructor(...args) {
      super(...args);
      if (window.broken > 0) throw new Error(`broken ${window.broken--}`);
      window.recorders.push(this);
    }
  };
}"""
"""Keeps the page's MediaRecorders in reach; the next `broken` ones cannot be made."""


async def test_a_local_copy_that_broke_off_is_begun_anew(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Broken off")
    host = await open_page(rooms.browser)
    await host.page.add_init_script(BREAK_RECORDERS)
    await join(host, session["host_url"], "Bro")
    await host.page.get_by_role("button", name="Start recording").click()
    await host.until(CAPTURED, 1000)
    await host.page.evaluate("() => { broken = 1; recorders[0].stop(); }")
    await host.until("() => stemroom.state.capture === 'retrying'")
    await expect(host.page.locator("#transfer-title")).to_have_text("Your local copy is not being recorded")
    await host.until("() => recorders.length === 2 && stemroom.state.capture === 'running'")
    await host.page.get_by_role("button", name="Stop recording").click()
    await host.until(SAFE)
    assert await host.page.evaluate("stemroom.state.uploads.map((u) => u.state)") == ["done", "done"]


async def test_a_local_copy_that_cannot_be_made_is_said_to_have_failed(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("No copy")
    host = await open_page(rooms.browser)
    await host.page.add_init_script(BREAK_RECORDERS)
    await join(host, session["host_url"], "Non")
    await host.page.evaluate("() => { broken = 100; }")
    await host.page.get_by_role("button", name="Start recording").click()
    await expect(host.page.get_by_role("button", name="Stop recording")).to_be_visible()
    await host.until("() => stemroom.state.capture === 'failed'")
    await expect(host.page.get_by_role("alert").filter(has_text="reload this page")).to_be_visible()
    await expect(host.page.locator("#recording-pill")).to_be_visible()
    await expect(host.page.locator(".tile-copy")).to_have_text("copy failed")


async def test_a_lost_websocket_is_resumed_and_media_goes_on_meanwhile(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Line lost")
    host = await open_page(rooms.browser)
    await host.page.add_init_script(KEEP_LINES)
    await join(host, session["host_url"], "Line")
    await host.page.evaluate("() => { window.before = stemroom.room.peerConnection('publish'); }")
    await host.page.evaluate("lines[0].close()")
    await expect(host.page.get_by_text("The studio does not answer")).to_be_visible()
    await host.until("() => stemroom.state.connection.signaling === 'open'")
    await expect(host.page.get_by_text("The studio does not answer")).to_be_hidden()
    assert await host.page.evaluate("lines.length") == 2
    assert await host.page.evaluate("window.before === stemroom.room.peerConnection('publish')")
    assert await host.page.evaluate("window.before.connectionState") == "connected"


async def test_the_newest_tab_of_a_participant_wins_and_the_older_says_so(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Twice")
    context = await new_context(rooms.browser)
    first, second = Watched(await context.new_page()), Watched(await context.new_page())
    await join(first, session["guest_url"], "Twin")
    key = f"stemroom.identity.{session['session_id']}"
    identity = await first.page.evaluate("(key) => sessionStorage.getItem(key)", key)
    await second.page.goto(f"{studio.url}/createsession")
    await second.page.evaluate("([key, value]) => sessionStorage.setItem(key, value)", [key, identity])
    await second.page.goto(session["guest_url"])
    await second.until(IN_ROOM)
    await expect(first.page.get_by_role("heading", name="You are in this session elsewhere")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (UNKNOWN, "There is no session behind this link"),
        (f"{UNKNOWN}/files", "There is no session behind this link"),
    ],
)
async def test_an_unknown_session_is_explained(studio: Studio, rooms: Rooms, path: str, words: str) -> None:
    page = (await open_page(rooms.browser)).page
    await page.goto(studio.url + path)
    await expect(page.get_by_text(words)).to_be_visible()


async def test_a_wrong_host_link_is_explained_and_lets_one_in_as_guest(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Wrong secret")
    guest = await open_page(rooms.browser)
    await guest.page.goto(session["host_url"] + "x")
    await guest.page.get_by_label("Your name").fill("Eve")
    await guest.page.get_by_role("button", name="Join as host").click()
    await expect(guest.page.get_by_role("alert").filter(has_text="host part")).to_be_visible()
    await guest.page.get_by_role("button", name="Join", exact=True).click()
    await guest.until(IN_ROOM)
    assert await guest.page.evaluate("stemroom.room.participants.get(stemroom.room.participantId).role") == "guest"


async def test_files_need_the_host_link_and_play_in_the_page(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Files")
    host = await open_page(rooms.browser)
    await join(host, session["host_url"], "Fil")
    await host.page.get_by_role("button", name="Start recording").click()
    await host.until(CAPTURED, 2000)
    await host.page.get_by_role("button", name="Stop recording").click()
    await host.until(SAFE)

    stranger = await open_page(rooms.browser)
    await stranger.page.goto(session["guest_url"] + "/files")
    await expect(stranger.page.get_by_role("alert")).to_contain_text("host link")

    files = Watched(await host.page.context.new_page())
    await files.page.goto(session["host_url"].replace("#", "/files#"))
    ready = "() => document.querySelectorAll('.segment[data-state=stored]').length === 3"
    await files.until(ready)
    for name in (
        "Camera and microphone, Local copy, of Fil",
        "Camera, Server copy, of Fil",
        "Microphone, Server copy, of Fil",
    ):
        play = files.page.get_by_role("button", name=f"Play {name}")
        await play.click()
        await files.until("() => document.querySelector('.player')?.currentTime > 0.2")
        await play.click()
        await expect(files.page.locator(".player")).to_have_count(0)
        async with files.page.expect_download() as download:
            await files.page.get_by_role("link", name=f"Download {name}").click()
        assert (await (await download.value).path()).stat().st_size > 1000
    await grades_are_shown(files.page)
    assert await files.all_complaints() == []


async def grades_are_shown(page: Page) -> None:
    """As words, of each take and of the recording, and as they stand in the report that the page links to."""
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Report").click()
    report = json.loads((await (await download.value).path()).read_bytes())
    assert len(report["takes"]) == 2
    shown = page.get_by_role("list", name="Server copies of Fil, graded").locator(":scope > li")
    await expect(shown).to_have_count(2)
    for take in report["takes"]:
        row = shown.filter(has_text=take["kind"].capitalize())
        badge = row.locator(".grade")
        await expect(badge).to_have_text(re.compile(f"^Grade {take['grade']}: [a-z ]+$"))
        for reason in take["reasons"] or ["Nothing is missing"]:
            await expect(row).to_contain_text(reason)
    head = page.locator(".recording-head .grade")
    await expect(head).to_have_text(re.compile(f"^Grade {report['grade']}: "))


def test_sources_are_the_known_ones() -> None:
    """What the browser under test is fed; here because a missing file makes Chromium fall back in silence."""
    assert media.camera().stat().st_size > 0
    assert media.microphone().stat().st_size > 0
