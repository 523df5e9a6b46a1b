"""Hosts read on their page what is wrong with what is recorded; nothing of it covers the controls, also on a phone."""

import os
import signal
from pathlib import Path

from playwright.async_api import Page, expect

from tests.support.chromium import Rooms
from tests.support.studio import Studio

SETTLE_MS = 30_000
PHONE = {"width": 360, "height": 640}
DESKTOP = {"width": 1000, "height": 700}


async def controls_can_be_pressed(page: Page) -> None:
    """Each is on the screen, and a press on its middle is its own."""
    for button in await page.get_by_role("group", name="Controls").get_by_role("button").all():
        await button.click(trial=True)
        box = await button.bounding_box()
        assert box is not None
        assert page.viewport_size is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= page.viewport_size["height"]


async def test_a_host_reads_that_no_files_are_made_may_hide_it_and_reads_it_again_the_next_time(
    studio: Studio, rooms: Rooms, tmp_path: Path
) -> None:
    session = await studio.create_session("A recorder that hangs")
    host = await rooms.join(session["host_url"], "Ann")
    guest = await rooms.join(session["guest_url"], "Bob")
    await guest.plays(1)
    await host.start_recording()
    warnings = host.page.get_by_role("list", name="Warnings about the recording").get_by_role("listitem")
    await expect(warnings).to_have_count(0)

    os.kill(studio.recorder_pid(), signal.SIGSTOP)
    await expect(warnings).to_contain_text("does not make files at present", timeout=SETTLE_MS)
    assert await host.page.locator("#notices").get_attribute("aria-live") == "polite"
    await controls_can_be_pressed(host.page)
    await host.page.screenshot(path=tmp_path / "desktop.png")
    await host.page.set_viewport_size(PHONE)
    await controls_can_be_pressed(host.page)
    await host.page.screenshot(path=tmp_path / "phone.png")
    await expect(guest.page.locator(".notice-line")).to_have_count(0)

    dismiss = warnings.get_by_role("button", name="Dismiss")
    await dismiss.focus()
    await host.page.keyboard.press("Enter")
    await expect(warnings).to_have_count(0)
    os.kill(studio.recorder_pid(), signal.SIGCONT)
    await studio.event("recorder_heard_again")
    os.kill(studio.recorder_pid(), signal.SIGSTOP)
    await expect(warnings).to_have_count(1, timeout=SETTLE_MS)
    os.kill(studio.recorder_pid(), signal.SIGCONT)
    await expect(warnings).to_have_count(0, timeout=SETTLE_MS)
    await host.page.set_viewport_size(DESKTOP)
    await host.stop_recording()
    assert await host.errors() + await guest.errors() == []
