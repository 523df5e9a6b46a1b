"""A browser whose network changes, goes dark or forgets it comes back on the same connections and the same tracks.

One meeting is held for the whole module: each interruption in turn, all while it is recorded.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import RoomPage, chromium
from tests.support.evidence import finished
from tests.support.proxy import ImpairmentProxy
from tests.support.studio import Studio, start_studio

Json = dict[str, Any]

BACK_S = 15.0
"""Longest wait for media after the network's return, on a machine that does something else too; the aim is 3 s."""
DARK_S = {"a short darkness": 5.0, "a long darkness": 10.0}
"""At least so long, and until an ICE restart was tried in vain in the long one. The server gives up after 30 s."""

REPAIRED_S = 3.0
"""Of what was sent in a darkness no more than its last seconds can come after it: Chromium keeps no packet longer."""

HELD_BACK_S = 5.0
"""Chromium takes no path for lost before it was silent for so long (CONNECTION_WRITE_CONNECT_TIMEOUT in libwebrtc).
Sound that it makes afterwards it holds back, and sends once there is a path again; pictures it does not make."""

CONNECTED = "() => __probe.connections.every((c) => c.connectionState === 'connected')"
INTERRUPTED = "() => __probe.connections.some((c) => c.connectionState !== 'connected')"
DECODED = """async () => (await __probe.stats('inbound-rtp')).filter((s) => s.kind === 'video')
    .reduce((sum, s) => sum + s.framesDecoded, 0)"""
UFRAGS = """() => __probe.connections.map((c) =>
    [c.localDescription, c.remoteDescription].map((d) => /a=ice-ufrag:(\\S+)/.exec(d.sdp)[1]))"""
RENEWED = f"(before) => ({UFRAGS})().every((ends, n) => ends.every((ufrag, end) => ufrag !== before[n][end]))"


@dataclass
class Facts:
    """What was seen of Ann and Bob."""

    tracks: list[Json] = field(default_factory=list)
    """After each step, the first before any: ids and SSRCs of all tracks."""
    back_s: dict[str, float] = field(default_factory=dict)
    """How long after the network's return both decoded pictures again."""
    connected_s: dict[str, float] = field(default_factory=dict)
    """How long after it all connections were up, as the browsers said."""
    connections: list[int] = field(default_factory=list)
    """That each page ever made."""
    errors: list[str] = field(default_factory=list)
    manifest: Json = field(default_factory=dict)


async def decode(people: tuple[RoomPage, ...]) -> None:
    """Each of them decodes more pictures from now on."""

    async def one(person: RoomPage) -> None:
        decoded = await person.page.evaluate(DECODED)
        await person.until(f"async (before) => await ({DECODED})() > before + 3", decoded, timeout_s=BACK_S)

    await asyncio.gather(*map(one, people))


async def tracks(studio: Studio, session: Json) -> Json:
    stats = await studio.operators(f"/api/v1/rooms/{session['session_id']}/stats")
    published = [track for person in stats["media"]["participants"] for track in person["tracks"]]
    return {track["track_id"]: [encoding["ssrc"] for encoding in track["encodings"]] for track in published}


async def darkness(proxy: ImpairmentProxy, people: tuple[RoomPage, ...], name: str) -> None:
    lasts_s = DARK_S[name]
    proxy.dark = True
    began_s = time.monotonic()
    if name == "a long darkness":
        before = [await person.page.evaluate(UFRAGS) for person in people]
        await asyncio.gather(*(person.until(RENEWED, ends) for person, ends in zip(people, before, strict=True)))
    await asyncio.gather(*(person.until(INTERRUPTED) for person in people))
    ends = 1000 * (time.time() + lasts_s - (time.monotonic() - began_s))
    await people[0].until("(ends) => performance.timeOrigin + performance.now() > ends", ends, timeout_s=2 * lasts_s)
    proxy.dark = False


async def hold(folder: Path) -> Facts:
    facts = Facts()
    with ImpairmentProxy(loss=0, seed=1) as proxy:
        overrides = {"media": {"advertise": [f"127.0.0.1:{proxy.port}"]}}
        async with start_studio(folder / "studio", overrides) as studio, chromium() as rooms:
            proxy.upstream = ("127.0.0.1", studio.media_port)
            session = await studio.create_session("Restarts")
            ann = await rooms.join(session["host_url"], "Ann")
            bob = await rooms.join(session["guest_url"], "Bob")
            people = (ann, bob)
            for person in people:
                await person.plays(1)
                await person.hears(1)
                await person.connected()
            await ann.start_recording()
            await ann.sends_for(1)
            facts.tracks.append(await tracks(studio, session))

            async def step(name: str, returns: Awaitable[None] | None = None) -> None:
                if returns is not None:
                    await returns
                began_s = time.monotonic()

                async def connect() -> None:
                    await asyncio.gather(*(person.until(CONNECTED) for person in people))
                    facts.connected_s[name] = time.monotonic() - began_s

                await asyncio.gather(connect(), decode(people))
                facts.back_s[name] = time.monotonic() - began_s
                facts.tracks.append(await tracks(studio, session))

            before = await bob.page.evaluate(UFRAGS)
            await bob.page.evaluate("() => dispatchEvent(new Event('online'))")
            await bob.until(RENEWED, before)
            await step("another network")
            proxy.rebind()
            await step("a router that forgot")
            for name in DARK_S:
                await step(name, darkness(proxy, people, name))
            for person in people:
                facts.connections.append(await person.page.evaluate("__probe.connections.length"))
                facts.errors += await person.errors()
            await ann.sends_for(1)
            await ann.stop_recording()
            (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
            facts.manifest = await finished(studio, session, recording["recording_id"], local_copies=2)
    for name, seconds in facts.back_s.items():
        print(f"after {name}: connected in {facts.connected_s[name]:.1f} s, pictures in {seconds:.1f} s")
    return facts


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return asyncio.run(hold(tmp_path_factory.mktemp("restarts")))


def test_media_came_back_after_every_interruption(facts: Facts) -> None:
    assert list(facts.back_s) == ["another network", "a router that forgot", *DARK_S]


def test_no_peer_connection_was_made_anew(facts: Facts) -> None:
    assert facts.connections == [2, 2]
    assert facts.errors == []


def test_tracks_and_streams_are_those_of_the_beginning(facts: Facts) -> None:
    assert len(facts.tracks) == 5
    assert all(tracks == facts.tracks[0] for tracks in facts.tracks)
    assert len(facts.tracks[0]) == 4


@pytest.mark.pain("10")
def test_every_darkness_is_a_gap_in_the_same_file(facts: Facts) -> None:
    files = server_files(facts)
    assert len(files) == 4
    for kind, segments in files.items():
        (segment,) = segments
        lost_s = sum(gap["duration_ns"] for gap in segment["gaps"] if gap["reason"] == "lost") / 1e9
        sound = kind[1] == "microphone"
        certain_s = [min(s - REPAIRED_S, HELD_BACK_S) if sound else s - REPAIRED_S for s in DARK_S.values()]
        assert lost_s > sum(certain_s)


def test_whatever_is_missing_a_file_counts_the_time(facts: Facts) -> None:
    files = server_files(facts)
    for participant_id in {participant_id for participant_id, _ in files}:
        ends_ns = [
            segment["start_ns"] + segment["duration_ns"]
            for kind in ("microphone", "camera")
            for segment in files[participant_id, kind]
        ]
        assert max(ends_ns) - min(ends_ns) < 1e9, "sound and pictures ended together"


def server_files(facts: Facts) -> dict[tuple[str, str], list[Json]]:
    """Segments of the server's copy by participant and kind."""
    return {
        (take["participant_id"], take["kind"]): [s for s in take["segments"] if s["copy"] == "server"]
        for take in facts.manifest["takes"]
    }
