"""A real page tells the studio how it goes, and what went wrong."""

import asyncio
import time
from collections.abc import Callable

from tests.support.chromium import Rooms
from tests.support.studio import Studio

WAIT_S = 60.0
"""Pages report every ten seconds; the machine may be busy."""
THROW = "() => { for (const n of [1, 2, 3]) setTimeout(() => { throw new Error('secret words'); }); }"
Json = dict[str, object]


async def told(studio: Studio, session_id: str, participant_id: str, enough: Callable[..., bool]) -> Json:
    """What operators see of this page, once it is enough."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        stats = await studio.operators(f"/api/v1/rooms/{session_id}/stats")
        page: Json = stats["pages"][participant_id]
        if enough(page):
            return page
        assert time.monotonic() < deadline_s, page
        await asyncio.sleep(0.2)


async def test_a_page_reports_what_it_sends_receives_and_how(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Reports")
    ann = await rooms.join(session["host_url"], "Ann")
    bob = await rooms.join(session["guest_url"], "Bob")
    await ann.plays(1)

    def is_whole(page: Json) -> bool:
        figures = page["figures"]
        return bool(
            isinstance(figures, dict)
            and figures["received"]
            and figures["received"]["packets"] > 0
            and [sent["bitrate_bps"] > 0 for sent in figures["sent"]] == [True, True]
        )

    page = await told(studio, session["session_id"], await ann.participant_id(), is_whole)
    figures = page["figures"]
    assert isinstance(figures, dict)
    microphone, camera = figures["sent"]
    assert (microphone["kind"], camera["kind"]) == ("microphone", "camera")
    assert camera["height"] >= 180
    assert figures["received"]["tracks"] == 2
    assert figures["received"]["jitter_buffer_ms"] > 0
    for path in (figures["publish"], figures["subscribe"]):
        assert path["candidate"] in ("host", "prflx")
        assert path["protocol"] == "udp"
    assert page["errors"] == {}
    metrics: str = await studio.operators("/metrics")
    assert 'stemroom_paths{candidate="' in metrics
    assert "page_error" not in metrics
    assert await ann.errors() == await bob.errors() == []


async def test_an_exception_in_a_page_is_counted_without_its_words(studio: Studio, rooms: Rooms) -> None:
    session = await studio.create_session("Broken page")
    ann = await rooms.join(session["host_url"], "Ann")
    await ann.page.evaluate(THROW)
    page = await told(studio, session["session_id"], await ann.participant_id(), lambda page: page["errors"] != {})
    assert page["errors"] == {"script": 3}
    assert 'event="page_error_script"} 3' in await studio.operators("/metrics")
    assert "secret words" not in studio.log_text(1000)
