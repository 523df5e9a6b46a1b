"""A disk that gets full is said to the host before, then, and when it has space again; the call goes on meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.chromium import Rooms
from tests.support.studio import Studio, start_studio

QUOTA_BYTES = 1 << 30
SETTLE_MS = 30_000


@pytest.fixture
async def quota(tmp_path: Path) -> AsyncIterator[Studio]:
    async with start_studio(tmp_path, {"recorder": {"spool_bytes": QUOTA_BYTES}}) as running:
        yield running


def use(studio: Studio, share: float) -> None:
    """Of the quota, beside what the recording takes: a file without content counts by its length."""
    folder = studio.data / "spool" / "of-somebody-else"
    folder.mkdir(exist_ok=True)
    with (folder / "file").open("wb") as file:
        file.truncate(round(QUOTA_BYTES * share))


async def described(page: Page) -> str:
    return await page.get_by_role("button", name="Start recording").get_attribute("aria-description") or ""


async def test_a_host_reads_that_the_disk_gets_full_why_recording_ended_and_that_it_can_begin_again(
    quota: Studio, rooms: Rooms, tmp_path: Path
) -> None:
    session = await quota.create_session("A full disk")
    host = await rooms.join(session["host_url"], "Ann")
    guest = await rooms.join(session["guest_url"], "Bob")
    await guest.plays(1)
    banner = host.page.locator("#space-note")
    await expect(banner).to_be_hidden()
    await host.start_recording()

    use(quota, 0.95)
    warning = host.page.get_by_role("list", name="Warnings about the recording").get_by_role("listitem")
    await expect(warning).to_contain_text("This recording goes on", timeout=SETTLE_MS)
    await expect(banner).to_be_hidden()
    await expect(host.page.get_by_role("button", name="Stop recording")).to_be_visible()
    await host.page.screenshot(path=tmp_path / "low.png")

    use(quota, 1.0)
    for room in (host, guest):
        ended = room.page.get_by_role("alert").filter(has_text="ended because the studio’s disk is full")
        await expect(ended).to_be_visible(timeout=SETTLE_MS)
    await expect(banner).to_contain_text("too little space on the studio’s disk to record")
    await expect(warning).to_have_count(0)
    await expect(guest.page.locator("#space-note")).to_be_hidden()
    assert "too little space" in await described(host.page)
    await host.page.get_by_role("button", name="Start recording").click()
    refused = host.page.get_by_role("alert").filter(has_text="you can record again as soon as there is")
    await expect(refused).to_be_visible()
    await host.page.screenshot(path=tmp_path / "full.png")
    await guest.sends_for(1.0)
    before = await guest.numbers()
    await guest.until("(before) => JSON.stringify(__probe.numbers()) !== JSON.stringify(before)", before)

    use(quota, 0.0)
    await expect(host.page.get_by_role("status").filter(has_text="Press Record")).to_be_visible(timeout=SETTLE_MS)
    await expect(banner).to_be_hidden()
    assert await described(host.page) == ""
    await host.page.screenshot(path=tmp_path / "again.png")
    await host.start_recording()
    await host.stop_recording()
    assert await host.errors() + await guest.errors() == []
