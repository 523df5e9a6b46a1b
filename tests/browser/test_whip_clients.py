"""Eyevinn's clients in pages of another site: one publishes into a room by WHIP, one watches it by WHEP.

The host makes the encoder's token on the page of the room.
"""

import asyncio
from pathlib import Path

import pytest

from tests.support import counter
from tests.support.chromium import RoomPage, Rooms, chromium, watch
from tests.support.evidence import Evidence, collect
from tests.support.studio import start_studio
from tests.support.whip_clients import site

PUBLISH = """async ([endpoint, authkey]) => {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 }, audio: true });
    window.client = new WHIPClient({ endpoint, opts: { authkey, iceServers: [] } });
    await client.setIceServersFromEndpoint();
    await client.ingest(stream);
    return client.getResourceUrl();
}"""
WATCH = """async ([url, token]) => {
    window.player = new WebRTCPlayer({ video: document.querySelector('video'), type: 'whep', iceServers: [] });
    await player.load(new URL(url), `Bearer ${token}`);
}"""
UNWATCH = "() => player.unload()"
RECORDED_S = 3.0


async def open_elsewhere(rooms: Rooms, url: str, name: str) -> RoomPage:
    context = await rooms.browser.new_context()
    await context.grant_permissions(["camera", "microphone"])
    await watch(context)
    room = RoomPage(await context.new_page(), name)
    room.page.on("console", lambda message: room.console.append(message.text))
    await room.page.goto(url)
    return room


async def add_encoder(host: RoomPage, name: str) -> list[str]:
    """Server and token, as a host gets them in the room."""
    await host.page.get_by_role("button", name="Links").click()
    await host.page.get_by_label("Encoder (OBS, GStreamer, FFmpeg)").fill(name)
    await host.page.get_by_role("button", name="Add encoder").click()
    fields = [host.page.get_by_label("Server", exact=True), host.page.get_by_label("Bearer token", exact=True)]
    address = [await field.input_value() for field in fields]
    await host.page.get_by_role("button", name="Close").click()
    return address


class Seen:
    """What a test that went through all of it saw."""

    resource = ""
    shown: list[str]
    watched: list[int | None]
    requests: list[tuple[str, int]]
    left: list[str]
    evidence: Evidence
    errors: list[str]


async def broadcast(folder: Path) -> Seen:
    seen = Seen()
    async with start_studio(folder / "studio") as studio, chromium() as rooms, site(folder) as elsewhere:
        session = await studio.create_session("Broadcast")
        id, secret = session["session_id"], session["host_secret"]
        ann = await rooms.join(session["host_url"], "Ann")
        address = await add_encoder(ann, "Browser encoder")
        encoder = await open_elsewhere(rooms, elsewhere, "encoder")
        seen.requests = []
        encoder.page.on("response", lambda answer: seen.requests.append((answer.request.method, answer.status)))
        seen.resource = await encoder.page.evaluate(PUBLISH, address)
        await encoder.connected()
        await ann.plays(1)
        await ann.hears(1)
        seen.shown = await ann.page.get_by_text("Browser encoder").all_inner_texts()
        await ann.start_recording()
        await ann.sends_for(RECORDED_S)
        right = await studio.api.create_egress(id, "Player", secret)
        player = await open_elsewhere(rooms, elsewhere, "player")
        await player.page.evaluate(WATCH, [right["whep_url"], right["token"]])
        await player.connected()
        await player.plays(1)
        await player.hears(1)
        seen.watched = await player.numbers()
        await ann.stop_recording()
        await player.page.evaluate(UNWATCH)
        gone = await studio.event("participant_left")
        assert gone["participant_id"] == right["participant_id"]
        await encoder.page.evaluate("() => client.destroy()")
        await studio.event("participant_left", count=2)
        await ann.until("() => __probe.playing() === 0")
        seen.errors = [*await ann.errors(), *await encoder.errors(), *await player.errors()]
        (recording,) = await studio.api.recordings(id, secret)
        seen.evidence = await collect(studio, session, recording["recording_id"], [], folder, local_copies=1)
        seen.left = [line["reason"] for line in studio.events("participant_left")][:2]
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(broadcast(tmp_path_factory.mktemp("whip")))


def test_the_client_publishes_from_another_site_and_trickles_candidates(seen: Seen) -> None:
    assert "/whip/res_" in seen.resource
    statuses = {method: status for method, status in seen.requests if method != "GET"}
    assert statuses["POST"] == 201
    assert statuses.get("PATCH", 204) == 204
    assert seen.errors == []


def test_the_room_shows_the_client_by_its_name(seen: Seen) -> None:
    assert seen.shown


def test_what_the_client_sends_is_recorded_as_its_own_files(seen: Seen) -> None:
    names = {person["participant_id"]: person["display_name"] for person in seen.evidence.manifest["participants"]}
    assert sorted(names.values()) == ["Ann", "Browser encoder"], "who only watches is not in it"
    files = [file for file in seen.evidence.files if names[file.take["participant_id"]] == "Browser encoder"]
    assert sorted(file.take["kind"] for file in files) == ["camera", "microphone"]
    assert all(file.report.sound for file in files)
    (camera,) = [file for file in files if file.take["kind"] == "camera"]
    readings = counter.read_file(camera.path)
    assert len(readings) > 30
    assert None not in [reading.number for reading in readings]


def test_the_player_shows_the_numbered_frames(seen: Seen) -> None:
    (number,) = seen.watched
    assert number is not None


def test_both_leave_when_they_say_so(seen: Seen) -> None:
    assert seen.left == ["left", "left"]
