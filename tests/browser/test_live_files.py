"""The files page plays and downloads a recording that still runs, also over a kill of the recorder process."""

import os
import signal
from pathlib import Path

from playwright.async_api import Page, expect

from tests.support.chromium import Rooms, watch
from tests.support.files import inspect
from tests.support.studio import Studio

SETTLE_MS = 60_000
"""Longest wait for a condition in a page; the machine may be busy."""
PLAYER = "document.querySelector('.segment .player')"
SO_FAR = "() => document.querySelectorAll('.segment[data-state=capturing] .button[href]').length === 2"
CAMERA, MICROPHONE = "Camera, Server copy, of Liv", "Microphone, Server copy, of Liv"


async def until(page: Page, condition: str) -> None:
    await page.wait_for_function(condition, timeout=SETTLE_MS)


async def opened(page: Page, name: str, folder: Path) -> float:
    """Download what there is of a file; its duration in seconds. It is sound and says how long it is."""
    async with page.expect_download() as download:
        await page.get_by_role("link", name=f"Download {name}").click()
    value = await download.value
    assert value.suggested_filename.endswith("-so-far.webm")
    path = folder / value.suggested_filename
    await value.save_as(path)
    report = inspect(path)
    assert report.sound
    assert report.duration_s is not None
    return report.duration_s


async def test_what_still_runs_is_played_and_downloaded(studio: Studio, rooms: Rooms, tmp_path: Path) -> None:
    session = await studio.create_session("Live files")
    host = await rooms.join(session["host_url"], "Liv")
    await host.page.get_by_role("button", name="Start recording").click()

    context = await rooms.browser.new_context(viewport={"width": 1000, "height": 900})
    await watch(context)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    await page.goto(session["host_url"].replace("#", "/files#"))
    await until(page, SO_FAR)
    first_s = await opened(page, MICROPHONE, tmp_path)

    # at the end of what there was, playing waits and goes on with what came since
    await page.get_by_role("button", name=f"Play {MICROPHONE}").click()
    await until(page, f"() => {PLAYER}?.currentTime > {first_s} + 4")
    await page.get_by_role("button", name=f"Play {MICROPHONE}").click()

    await page.get_by_role("button", name=f"Play {CAMERA}").click()
    await until(page, f"() => {PLAYER}?.currentTime > 1 && {PLAYER}.videoWidth > 0")
    await page.evaluate(f"{PLAYER}.currentTime = 4")
    await until(page, f"() => !{PLAYER}.seeking && {PLAYER}.currentTime > 4.5")
    running = page.locator(".segment[data-state=capturing]").filter(has_text="Server")
    await expect(running.first).to_contain_text("so far")

    # the recorder is killed: neither what plays nor what can be had gets shorter
    before_s = await opened(page, CAMERA, tmp_path)
    os.kill(studio.recorder_pid(), signal.SIGKILL)
    await studio.event("recorder_ended")
    assert await opened(page, CAMERA, tmp_path) >= before_s
    await studio.event("recorder_started", count=2)
    assert await opened(page, CAMERA, tmp_path) >= before_s
    await until(page, f"() => {PLAYER}?.currentTime > {before_s} + 3")

    await host.page.get_by_role("button", name="Stop recording").click()
    await until(page, "() => document.querySelectorAll('.segment[data-state=stored]').length >= 2")
    await until(page, f"() => {PLAYER}?.ended && {PLAYER}.currentSrc.includes('/objects/')")
    assert complaints == []
    assert not [path.name for path in (studio.data / "work").glob("*/*.webm*")]
