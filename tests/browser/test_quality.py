"""A line that loses packets is shown on the tile to everybody, and said in words to the one who has it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.chromium import Rooms
from tests.support.proxy import ImpairmentProxy
from tests.support.studio import Studio, start_studio

LOSS = 0.12
SETTLE_MS = 30_000
"""Longest wait for a change to be seen; the machine may be busy."""


@pytest.fixture
async def lossy(tmp_path: Path) -> AsyncIterator[Studio]:
    """Everybody's way in loses packets."""
    with ImpairmentProxy(loss=LOSS, seed=7) as proxy:
        async with start_studio(tmp_path, {"media": {"advertise": [f"127.0.0.1:{proxy.port}"]}}) as studio:
            proxy.upstream = ("127.0.0.1", studio.media_port)
            yield studio


async def test_a_lossy_line_is_shown_to_everybody_and_said_to_oneself(lossy: Studio, rooms: Rooms) -> None:
    session = await lossy.create_session("A bad line")
    ann = await rooms.join(session["host_url"], "Ann")
    bob = await rooms.join(session["guest_url"], "Bob")
    note = ann.page.locator("#quality-note")
    await expect(note).to_contain_text("of the packets you send", timeout=SETTLE_MS)
    share = re.search(r"loses ([\d.]+) % of the packets you send", await note.inner_text())
    assert share is not None
    assert 3 < float(share[1]) < 30
    tile = bob.page.get_by_role("listitem", name="Ann")
    await expect(tile).to_have_accessible_name(re.compile("(Fair|Poor) connection"), timeout=SETTLE_MS)
    bars = tile.get_by_role("img", name=re.compile("(Fair|Poor) connection"))
    await expect(bars).to_be_visible()
    filled = await bars.locator(".is-filled").count()
    assert filled == {"fair": 2, "poor": 1}[await bars.get_attribute("data-quality") or ""]


async def test_a_good_line_is_shown_as_one_and_nothing_is_said(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("A good line")
    ann = await rooms.join(session["host_url"], "Ann")
    bars = ann.page.get_by_role("listitem", name="Ann (you)").get_by_role("img", name="connection")
    await expect(bars).to_be_visible(timeout=SETTLE_MS)
    await expect(bars).to_have_attribute("data-quality", "good", timeout=SETTLE_MS)
    assert await bars.locator(".is-filled").count() == 3
    await expect(ann.page.locator("#quality-note")).to_be_hidden()
    assert await ann.errors() == []
