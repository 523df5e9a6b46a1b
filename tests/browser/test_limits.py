"""What the studio does not take or does not send is said on the page, in words."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.chromium import Rooms, watch
from tests.support.studio import Studio, start_studio


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Studio]:
    async with start_studio(tmp_path, {"media": {"limits": {"tracks": 2, "subscriptions": 1}}}) as running:
        yield running


async def test_a_viewer_reads_that_it_is_not_sent_everything(small: Studio, rooms: Rooms) -> None:
    session = await small.create_session("More than fits")
    host = await rooms.join(session["host_url"], "Ann")
    guest = await rooms.join(session["guest_url"], "Bob")
    notice = guest.page.get_by_role("alert").filter(has_text="you do not see or hear all of them")
    await expect(notice).to_have_count(1)
    await expect(host.page.get_by_role("alert").filter(has_text="you do not see or hear all of them")).to_have_count(1)
    assert await guest.page.evaluate("() => stemroom.room.media.length") == 1


async def test_a_publisher_reads_that_it_sends_too_many_tracks(tmp_path: Path, rooms: Rooms) -> None:
    async with start_studio(tmp_path, {"media": {"limits": {"tracks": 1}}}) as studio:
        session = await studio.create_session("One each")
        context = await rooms.browser.new_context()
        await context.grant_permissions(["camera", "microphone"])
        await watch(context)
        page = await context.new_page()
        await page.goto(session["guest_url"])
        await page.get_by_label("Your name").fill("Bob")
        await page.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("alert").filter(has_text="as this studio takes from one person")).to_be_visible()
        assert 'event="negotiation_too_many_tracks"} 1' in await studio.operators("/metrics")
