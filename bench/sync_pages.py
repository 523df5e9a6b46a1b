"""The plans of `bench.sync` that Chromium acts: two pages with cameras and microphones that know when they capture.

The camera is a canvas, whose drawing is timed; the microphone is an AudioContext, whose clock is compared with the
page's (`tests/support/known_page.js`). Page and server share this machine's clock.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench import captured
from bench.captured import Known, Track, Worst
from tests.support import beep_flash
from tests.support.api import Json
from tests.support.chromium import RoomPage, Rooms
from tests.support.evidence import finished
from tests.support.studio import Studio

TOGETHER_S = 3.0
"""Of sound that is recorded before and after what a plan does."""
SENDER = """(kind) => __probe.connections.filter((c) => c.connectionState === 'connected')
    .flatMap((c) => c.getSenders()).find((one) => (one.track ?? one.was)?.kind === kind)"""


class Pages(NamedTuple):
    """In a call that is recorded."""

    first: RoomPage
    second: Callable[[], Awaitable[RoomPage]]
    """Joins when it is called first."""


async def _nothing(pages: Pages) -> None:
    await pages.second()


async def _late(pages: Pages) -> None:
    await pages.first.sends_for(TOGETHER_S)
    await pages.second()


async def _muted(pages: Pages) -> None:
    await pages.second()
    button = pages.first.page.get_by_role("button", name="Mute")
    await pages.first.sends_for(TOGETHER_S)
    await button.click()
    await pages.first.sends_for(1.5)
    await button.click()


async def _taken_away(pages: Pages) -> None:
    second = await pages.second()
    await pages.first.sends_for(TOGETHER_S)
    await pages.first.page.evaluate(
        f"async () => {{ const s = ({SENDER})('audio'); s.was = s.track; await s.replaceTrack(null); }}"
    )
    await second.sends_for(2.5)
    await pages.first.page.evaluate(f"async () => {{ const s = ({SENDER})('audio'); await s.replaceTrack(s.was); }}")


PLANS: dict[str, Callable[[Pages], Awaitable[None]]] = {
    "Chromium": _nothing,
    "Chromium, one comes late": _late,
    "Chromium, muted": _muted,
    "Chromium, track taken away": _taken_away,
}


async def act(plan: str, studio: Studio, rooms: Rooms) -> tuple[Worst, dict[Track, int]]:
    """What was found, and of how many seconds of each track."""
    session = await studio.create_session(plan)
    joined: list[RoomPage] = [await _join(rooms, session["host_url"], 1)]

    async def second() -> RoomPage:
        if len(joined) == 1:
            joined.append(await _join(rooms, session["guest_url"], 2))
        return joined[1]

    if PLANS[plan] is not _late:
        await second()
    await joined[0].start_recording()
    await PLANS[plan](Pages(joined[0], second))
    await joined[0].sends_for(TOGETHER_S)
    (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
    await joined[0].stop_recording()
    shown = [await room.page.evaluate("[__known.zero, __known.shown]") for room in joined]
    people = [await room.participant_id() for room in joined]
    manifest: Json = await finished(studio, session, recording["recording_id"], local_copies=len(joined))
    for room in joined:
        await room.page.context.close()
    clock = captured.session_clock(studio.data / "spool" / manifest["recording_id"])
    known = {
        id: Known(
            number,
            zero_ms / 1000 - clock.zero_wall_ns / 1e9,
            {picture: (wall_ms - zero_ms) / 1000 for picture, wall_ms in drawn},
        )
        for number, (id, (zero_ms, drawn)) in enumerate(zip(people, shown, strict=True), 1)
    }
    tracks = captured.places(manifest, studio.data / "objects", known)
    return captured.worst(tracks), {track: len(found) for track, found in tracks.items()}


async def _join(rooms: Rooms, url: str, person: int) -> RoomPage:
    script = f"window.__known = {{ person: {person}, beeps: {beep_flash.beeps(person)} }};"
    return await rooms.join(url, f"P{person}", scripts=[script, beep_flash.PAGE.read_text()])
