"""Who speaks is outlined in everybody's page, who is muted is not; with one place, the one who speaks has it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support import media
from tests.support.chromium import RoomPage, chromium
from tests.support.studio import start_studio

OUTLINED = """() => [...document.querySelectorAll('.tile')].filter((tile) => {
    const style = getComputedStyle(tile.querySelector('.tile-ring'));
    return style.opacity === '1' && parseFloat(style.borderTopWidth) >= 3;
}).map((tile) => tile.getAttribute('aria-label').split(/[ ,]/)[0])"""
"""First names on the tiles that have an outline."""

LEVEL = """(id) => Number(getComputedStyle(document.querySelector(`[data-participant-id="${id}"]`))
    .getPropertyValue('--level')) > 0.4"""

WATCH = """() => {
    window.__changes = [];
    for (const tile of document.querySelectorAll('.tile')) {
        let before = tile.className;
        new MutationObserver(() => {
            if (tile.className !== before) window.__changes.push([tile.dataset.participantId, performance.now()]);
            before = tile.className;
        }).observe(tile, {attributes: true, attributeFilter: ['class']});
    }
}"""

ANNOUNCED = """() => [...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log]')]
    .map((region) => region.textContent).join(' ')"""


async def outlined(room: RoomPage, *names: str) -> None:
    await room.until(f"(names) => JSON.stringify(({OUTLINED})().sort()) === JSON.stringify(names)", sorted(names))


async def heard(room: RoomPage) -> dict[str, Any]:
    """Received audio by the id of who sends it."""
    owners = await room.page.evaluate(
        "stemroom.room.media.filter((m) => m.kind === 'microphone').map((m) => [m.track.id, m.participant_id])"
    )
    reports = {s["trackIdentifier"]: s for s in await room.stats("inbound-rtp") if s["kind"] == "audio"}
    return {owner: reports[track] for track, owner in owners if track in reports}


class Seen:
    changes: list[tuple[str, float]]
    labels: list[str]
    announced: str
    before: dict[str, Any]
    middle: dict[str, Any]
    after: dict[str, Any]
    ann: str
    bob: str
    stats: dict[str, Any]
    errors: list[str]


async def meeting(folder: Path) -> Seen:
    """Ann speaks, then Bob; Eve listens. The waiting is what shows that outlines come and go."""
    seen = Seen()
    overrides = {"media": {"loudest": 1}}
    async with start_studio(folder / "studio", overrides) as studio, chromium(media.voice()) as rooms:
        session = await studio.create_session("Three voices")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        await bob.page.keyboard.press("m")
        eve = await rooms.join(session["guest_url"], "Eve")
        await eve.page.keyboard.press("m")
        everybody = (ann, bob, eve)
        seen.ann, seen.bob = await ann.participant_id(), await bob.participant_id()
        await eve.plays(2)
        await asyncio.gather(*(outlined(room, "Ann") for room in everybody))
        await eve.until(LEVEL, seen.ann)
        await eve.page.screenshot(path=folder / "ann-speaks.png")
        seen.labels = await eve.page.evaluate("[...document.querySelectorAll('.tile')].map((tile) => tile.ariaLabel)")
        await eve.page.evaluate(WATCH)
        seen.before = await heard(eve)
        await ann.sends_for(6.0)
        seen.changes = await eve.page.evaluate("window.__changes")
        seen.announced = await eve.page.evaluate(ANNOUNCED)
        seen.middle = await heard(eve)
        seen.stats = await studio.operators(f"/api/v1/rooms/{session['session_id']}/stats")
        await ann.page.keyboard.press("m")
        await asyncio.gather(*(outlined(room) for room in everybody))
        await bob.page.keyboard.press("m")
        await asyncio.gather(*(outlined(room, "Bob") for room in everybody))
        await eve.page.screenshot(path=folder / "bob-speaks.png")
        await bob.sends_for(3.0)
        seen.after = await heard(eve)
        seen.errors = [error for room in everybody for error in await room.errors()]
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(meeting(tmp_path_factory.mktemp("speakers")))


def test_who_speaks_is_outlined_in_every_page_and_who_takes_over_next(seen: Seen) -> None:
    """`meeting` waited for it; the label says it as well."""
    assert [label for label in seen.labels if label.endswith("speaking")] == [
        label for label in seen.labels if label.startswith("Ann")
    ]


def test_an_outline_does_not_flicker_in_the_pauses_of_speech(seen: Seen) -> None:
    assert len(seen.changes) <= 2, "the wav file is silent for a second where it begins anew"


def test_nothing_of_it_is_announced_to_a_screen_reader(seen: Seen) -> None:
    assert "speak" not in seen.announced


def test_with_one_place_only_who_speaks_is_received(seen: Seen) -> None:
    def packets(of: str, first: dict[str, Any], last: dict[str, Any]) -> int:
        begin, end = (report.get(of, {"packetsReceived": 0})["packetsReceived"] for report in (first, last))
        return int(end - begin)

    assert packets(seen.ann, seen.before, seen.middle) > 200
    assert packets(seen.bob, seen.before, seen.middle) == 0
    assert packets(seen.bob, seen.middle, seen.after) > 100
    assert seen.after[seen.bob]["totalAudioEnergy"] > 0


def test_a_gap_in_what_is_forwarded_is_no_loss_to_the_receiver(seen: Seen) -> None:
    assert {report["packetsLost"] for report in seen.after.values()} == {0}


def test_operators_see_who_is_forwarded_and_why(seen: Seen) -> None:
    participants = {one["participant_id"]: one for one in seen.stats["media"]["participants"]}
    sound = {
        id: next(track["sound"] for track in one["tracks"] if track["kind"] == "microphone")
        for id, one in participants.items()
    }
    assert sound[seen.ann]["reason"] == "among_loudest"
    assert -40 < sound[seen.ann]["level_dbov"] < 0 or sound[seen.ann]["noise_dbov"] < -40
    assert (sound[seen.bob]["forwarded"], sound[seen.bob]["reason"]) == (False, "not_among_loudest")
    assert seen.stats["media"]["dominant"] == seen.ann


def test_no_page_reported_an_error(seen: Seen) -> None:
    assert seen.errors == []
