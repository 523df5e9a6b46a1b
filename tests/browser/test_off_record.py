"""Off the record as a host does it: by keyboard in the room, with times on the files page; held back at once."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.support.chromium import RoomPage, Rooms
from tests.support.media import SAMPLE_RATE_HZ
from tests.support.studio import Json, Studio

SETTLE_MS = 30_000
CAPTURED = "(ms) => stemroom.state.uploads.some((u) => u.state === 'capturing' && u.captured_ms > ms)"
SAFE = "() => stemroom.state.safe && stemroom.state.uploads.length > 0"
STORED = "(count) => document.querySelectorAll('.segment[data-state=stored]').length === count"
FILES = 3
"""Camera and microphone by the server, both in one file by the browser."""


async def record(host: RoomPage, ms: float) -> None:
    await host.start_recording()
    await host.until(CAPTURED, ms)


async def files_page(host: RoomPage, session: Json) -> Page:
    page = await host.page.context.new_page()
    await page.goto(session["host_url"].replace("#", "/files#"))
    return page


async def test_a_host_takes_the_last_seconds_off_the_record_with_the_keyboard_alone(
    studio: Studio, rooms: Rooms
) -> None:
    session = await studio.create_session("Between us")
    host = await rooms.join(session["host_url"], "Ann")
    guest = await rooms.join(session["guest_url"], "Bob")
    button = host.page.get_by_role("button", name="Off record")
    await expect(button).to_be_hidden()
    await record(host, 2000)
    await expect(button).to_be_visible()
    await expect(guest.page.get_by_role("button", name="Off record")).to_be_hidden()
    await guest.page.keyboard.press("o")
    await expect(guest.page.get_by_role("dialog")).to_have_count(0)

    await host.page.keyboard.press("o")
    await expect(host.page.get_by_role("dialog", name="Take off the record")).to_be_visible()
    await host.page.keyboard.press("Escape")
    await expect(host.page.get_by_role("dialog")).to_have_count(0)
    assert await listed(studio, session) == []
    await host.page.keyboard.press("o")
    await expect(host.page.get_by_role("button", name="Last 30 seconds")).to_be_focused()
    await host.page.keyboard.press("Enter")
    told = host.page.get_by_role("status").filter(has_text=re.compile(r"^Off the record: 0:00\.0 to 0:\d\d\.\d\."))
    await expect(told).to_be_visible()
    [marked] = await listed(studio, session)
    assert marked["marked_by"] == await host.participant_id()
    await told.get_by_role("button", name="Put back").click()
    await expect(host.page.get_by_text("It is on the record again.")).to_be_visible()
    assert await listed(studio, session) == []
    assert await host.errors() == []


async def test_what_was_taken_off_the_record_in_the_room_is_in_no_file_that_can_be_downloaded(
    studio: Studio, rooms: Rooms
) -> None:
    session = await studio.create_session("Between us")
    host = await rooms.join(session["host_url"], "Ann")
    await record(host, 13_000)
    await host.page.keyboard.press("o")
    await host.page.get_by_role("button", name="Last 10 seconds").click()
    await expect(host.page.get_by_role("status").filter(has_text="Off the record: 0:0")).to_be_visible()
    await host.sends_for(2.0)
    await host.stop_recording()
    await host.until(SAFE)
    page = await files_page(host, session)
    await expect(page.locator(".segment[data-off-record=redacted]")).to_have_count(FILES, timeout=SETTLE_MS)
    detail = await shown(studio, session)
    [marked] = detail["off_record"]
    assert marked["stop_ms"] - marked["start_ms"] == pytest.approx(10_000)
    starts_ms = {one["file_name"]: one["start_ns"] / 1e6 for take in detail["takes"] for one in take["segments"]}
    links = page.get_by_role("link", name="Download")
    await expect(links).to_have_count(FILES)
    for link in await links.all():
        async with page.expect_download() as downloading:
            await link.click()
        download = await downloading.value
        start_ms = starts_ms[download.suggested_filename]
        range_s = tuple((marked[end] - start_ms) / 1000 for end in ("start_ms", "stop_ms"))
        require_nothing_between(*range_s, await download.path())
    assert await host.errors() == []


def require_nothing_between(begin_s: float, end_s: float, path: Path) -> None:
    """Of a file: no frame, and samples that are zero; what was before and comes behind is there."""
    with av.open(str(path)) as container:
        kinds = [stream.type for stream in container.streams]
    for index, kind in enumerate(kinds):
        with av.open(str(path)) as container:
            if kind == "video":
                times = [frame.time for frame in container.decode(container.streams[index]) if frame.time is not None]
                assert not [at_s for at_s in times if begin_s < at_s < end_s]
                assert min(times) < begin_s
            else:
                sound = np.abs(np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1))
                first, last = (round(at_s * SAMPLE_RATE_HZ) for at_s in (begin_s, end_s))
                assert sound[:, first:last].max() == 0
                assert sound[:, :first].max() > 0.01
                assert sound[:, last + SAMPLE_RATE_HZ :].max() > 0.01


async def shown(studio: Studio, session: Json) -> Json:
    """The only recording."""
    [recording] = await studio.api.recordings(session["session_id"], session["host_secret"])
    return await studio.api.recording(session["session_id"], recording["recording_id"], session["host_secret"])


async def listed(studio: Studio, session: Json) -> list[Json]:
    ranges: list[Json] = (await shown(studio, session))["off_record"]
    return ranges


async def test_a_range_is_taken_off_the_record_on_the_files_page_and_put_back(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Between us")
    host = await rooms.join(session["host_url"], "Ann")
    await record(host, 3000)
    await host.stop_recording()
    await host.until(SAFE)
    page = await files_page(host, session)
    await page.wait_for_function(STORED, arg=FILES, timeout=SETTLE_MS)
    await expect(page.get_by_role("link", name="Download")).to_have_count(FILES)

    await page.get_by_text("Off the record", exact=True).click()
    start, stop = page.get_by_label("From", exact=True), page.get_by_label("to", exact=True)
    await start.fill("later")
    await stop.fill("1.5")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="Give two times")).to_be_visible()
    await expect(start).to_be_focused()
    await start.fill("0:00.5")
    await page.keyboard.press("Enter")
    ranges = page.get_by_role("list", name="Ranges off the record").get_by_role("listitem")
    await expect(ranges).to_have_count(1)
    await expect(ranges).to_contain_text("0:00.5 to 0:01.5with the host link")
    redacted = page.locator(".segment[data-off-record=redacted]")
    await expect(redacted).to_have_count(FILES, timeout=SETTLE_MS)
    for row in await redacted.all():
        await expect(row).to_contain_text("Redacted")
    heard = page.get_by_role("link", name="Download Microphone, Server copy, of Ann")
    async with page.expect_download() as download:
        await heard.click()
    name = (await download.value).suggested_filename
    assert name == "ann-microphone-server-redacted.webm"
    with av.open(str(await (await download.value).path())) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.abs(sound[:, SAMPLE_RATE_HZ * 6 // 10 : SAMPLE_RATE_HZ * 14 // 10]).max() == 0
    assert np.abs(sound[:, SAMPLE_RATE_HZ * 18 // 10 :]).max() > 0.01

    await page.get_by_role("button", name="Purge").click()
    await page.keyboard.press("Enter")  # the answer that keeps them has the focus
    await ranges.get_by_role("button", name="Put back 0:00.5 to 0:01.5").click()
    await expect(ranges).to_have_count(0)
    await expect(page.locator(".segment[data-off-record='']")).to_have_count(FILES)
    await expect(page.get_by_role("link", name="Download")).to_have_count(FILES)

    await start.press("Enter")
    await expect(redacted).to_have_count(FILES, timeout=SETTLE_MS)
    whole = {path.name for path in studio.data.rglob("seg_*.webm") if "redacted" not in path.name}
    assert len(whole) == FILES
    await page.get_by_role("button", name="Purge").click()
    await page.get_by_role("button", name="Delete for good").click()
    await expect(ranges).to_contain_text("Purged", timeout=SETTLE_MS)
    await expect(ranges.get_by_role("button")).to_have_count(0)
    await expect(page.get_by_role("link", name="Download")).to_have_count(FILES)
    assert not [path for path in studio.data.rglob("seg_*") if path.is_file() and path.name in whole]
    assert not list((studio.data / "spool").rglob("seg_*"))
