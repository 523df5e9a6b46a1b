"""The WebSocket: greeting, limits, replacing, resuming, grace, and what others are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sfu.interfaces import Finding, Limit, Quality, QualityReport, TransportName, Trouble
from signaling import connection
from signaling.problems import WEBSOCKET_ERRORS
from signaling.settings import SessionSettings
from tests.support.control import Control, Json, Page, start_control
from tests.support.fake_sfu import BAD_SDP

QUICK = SessionSettings(hello_s=0.1, dead_after_s=0.3, grace_s=0.2)


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path, session=QUICK) as running:
        yield running


async def publish(page: Page, *kinds: str) -> None:
    tracks = [{"mid": str(mid), "kind": kind} for mid, kind in enumerate(kinds)]
    await page.send(type="webrtc_offer", transport="publish", sdp="offer", tracks=tracks)
    assert (await page.expect("webrtc_answer"))["sdp"] == "answer to offer"


# --- greeting


async def test_hello_is_answered_by_a_welcome_with_everybody_and_then_the_subscribe_offer(control: Control) -> None:
    session = await control.create()
    host, host_joined = await control.arrive(session, "Host", host=True)
    await publish(host, "microphone", "camera")
    guest, guest_joined = await control.arrive(session, "Guest")
    welcome = guest.seen[0]
    assert welcome["session_id"] == session["session_id"]
    assert welcome["participant_id"] == guest_joined["participant_id"]
    assert (welcome["role"], welcome["resumed"], welcome["recording"]) == ("guest", False, None)
    assert welcome["heartbeat_ms"] == 5000
    assert welcome["session_ms"] > 0
    everybody = {person["participant_id"]: person for person in welcome["participants"]}
    assert set(everybody) == {host_joined["participant_id"], guest_joined["participant_id"]}
    assert [track["kind"] for track in everybody[host_joined["participant_id"]]["tracks"]] == ["microphone", "camera"]
    offer = await guest.next()
    assert (offer["type"], offer["transport"], offer["offer_id"]) == ("webrtc_offer", "subscribe", 1)
    assert [track["kind"] for track in offer["subscribed"]] == ["microphone", "camera"]
    joined = await host.expect("participant_joined")
    assert joined["participant"]["display_name"] == "Guest"


async def test_without_hello_in_time_the_connection_is_closed(quick: Control) -> None:
    page = await quick.open_page(await quick.join(await quick.create()))
    assert await page.close_code() == connection.CLOSE_UNAUTHORIZED
    assert page.seen[-1]["id"] == "unauthorized"


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"heartbeat"}',
        "nonsense",
        *(f'{{"type":"hello","token":"{token}"}}' for token in ("guessed", "\u00e4", "\\ud800")),
    ],
)
async def test_a_first_message_that_is_no_valid_hello_closes_the_connection(control: Control, first: str) -> None:
    page = await control.open_page(await control.join(await control.create()))
    await page.socket.send_str(first)
    assert await page.close_code() == connection.CLOSE_UNAUTHORIZED


async def test_the_token_of_another_participant_or_session_is_refused(control: Control) -> None:
    one, other = await control.create(), await control.create()
    ada, bob, eve = await control.join(one), await control.join(one, "Bob"), await control.join(other, "Eve")
    for token in (bob["token"], eve["token"], one["host_secret"]):
        page = await control.open_page(ada)
        await page.send(type="hello", token=token)
        assert await page.close_code() == connection.CLOSE_UNAUTHORIZED


async def test_a_token_in_the_url_opens_nothing(control: Control) -> None:
    joined = await control.join(await control.create())
    joined["ws_url"] += f"&token={joined['token']}"
    page = await control.open_page(joined)
    await page.send(type="heartbeat")
    assert await page.close_code() == connection.CLOSE_UNAUTHORIZED


async def test_an_unknown_session_is_closed_with_4404(control: Control) -> None:
    joined = await control.join(await control.create())
    for id in ("ses_aaaaaaaaaaaaaaaa", "x"):
        url = f"{control.url.replace('http', 'ws')}/ws/{id}?participant_id={joined['participant_id']}"
        page = await control.open_page({"ws_url": url})
        assert await page.close_code() == connection.CLOSE_UNKNOWN_SESSION


async def test_a_page_of_another_site_gets_403_before_the_upgrade(control: Control) -> None:
    joined = await control.join(await control.create())
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await control.open_page(joined, origin="https://evil.example")
    assert refusal.value.status == 403
    async with await control.open_page(joined, origin=control.url) as page:
        await page.send(type="hello", token=joined["token"])
        assert (await page.next())["type"] == "welcome"


async def test_a_plain_request_is_a_problem(control: Control) -> None:
    answer = await control.call("GET", "/ws/ses_aaaaaaaaaaaaaaaa")
    assert (answer.status, answer.problem()) == (400, "bad_request")


async def test_compression_is_never_agreed_on(control: Control) -> None:
    page = await control.open_page(await control.join(await control.create()), compress=15)
    assert page.socket.compress == 0
    await page.socket.close()


# --- limits


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "null",
        '{"type":"no_such_type"}',
        '{"type":"welcome"}',
        '{"type":"hello","token":"again"}',
        '{"type":"clock","page_ms":NaN}',
        '{"type":"clock","page_ms":1e999}',
        '{"type":"track_muted","track_id":"../x","muted":true}',
        '{"type":"layer","track_id":"t_aaaaaaaaaaaaaaaa","height":-1}',
        '{"type":"layer","track_id":"t_aaaaaaaaaaaaaaaa","height":100000}',
        '{"type":"layer","track_id":"../x","height":360}',
        '{"type":"webrtc_offer","transport":"sideways","sdp":""}',
        '{"type":"webrtc_offer","transport":"publish","sdp":"","tracks":[{"mid":"0","kind":"smell"}]}',
        json.dumps({"type": "webrtc_offer", "transport": "publish", "sdp": "x" * 65_537}),
        json.dumps(
            {"type": "webrtc_offer", "transport": "publish", "sdp": "", "tracks": [{"mid": "0", "kind": "camera"}] * 17}
        ),
        '{"type":"heartbeat","x":' + "[" * 60_000,
        '{"type":"\\ud800"}',
        b'{"type":"heartbeat"}',
    ],
)
async def test_a_bad_message_is_answered_and_the_tenth_ends_the_connection(
    control: Control, message: str | bytes
) -> None:
    page, _ = await control.arrive(await control.create())
    for number in range(10):
        await (page.socket.send_bytes(message) if isinstance(message, bytes) else page.socket.send_str(message))
        error = await page.expect("error")
        assert (error["id"], error["fatal"]) == ("bad_message", number == 9)
    assert await page.close_code() == connection.CLOSE_POLICY


async def test_a_message_beyond_the_limit_closes_with_1009(control: Control) -> None:
    page, _ = await control.arrive(await control.create())
    await page.socket.send_str("x" * (128 * 1024 + 1))
    assert await page.close_code() == 1009


async def test_a_flood_is_dropped_answered_and_closed(control: Control) -> None:
    page, _ = await control.arrive(await control.create())
    for _ in range(230):
        await page.socket.send_str('{"type":"ice_candidate","transport":"publish"}')
    assert await page.close_code() == connection.CLOSE_POLICY
    assert [message["id"] for message in page.seen if message["type"] == "error"] == ["rate_limited"] * 10


async def test_a_client_that_reads_nothing_is_closed_and_holds_up_nobody(control: Control) -> None:
    session = await control.create()
    slow, slow_joined = await control.arrive(session, "Slow")
    other, _ = await control.arrive(session, "Other")
    room = control.studio.rooms.live[session["session_id"]]
    behind = room.participants[slow_joined["participant_id"]].connection
    assert behind is not None
    for _ in range(3):  # without yielding: nothing is sent in between, as with a full socket
        behind.send_text("x" * 600_000)
    assert behind.closing
    assert behind.close_code == connection.CLOSE_TRY_LATER
    updated = await other.expect("participant_updated")
    assert updated["participant"]["connected"] is False
    assert await slow.close_code() == connection.CLOSE_TRY_LATER
    await other.socket.close()


async def test_how_far_a_client_may_be_behind_is_the_operators_choice(tmp_path: Path) -> None:
    async with start_control(tmp_path, session=SessionSettings(queue_bytes=1 << 16)) as control:
        session = await control.create()
        slow, joined = await control.arrive(session)
        behind = control.studio.rooms.live[session["session_id"]].participants[joined["participant_id"]].connection
        assert behind is not None
        for _ in range(2):
            behind.send_text("x" * 40_000)
        assert behind.close_code == connection.CLOSE_TRY_LATER
        assert await slow.close_code() == connection.CLOSE_TRY_LATER


async def test_a_node_has_places_for_so_many_rooms(tmp_path: Path) -> None:
    async with start_control(tmp_path, session=SessionSettings(max_rooms=1)) as control:
        page, _ = await control.arrive(await control.create())
        path = f"/api/v1/sessions/{(await control.create())['session_id']}/join"
        assert (await control.call("POST", path, {"display_name": "x"})).problem() == "too_many_rooms"
        assert control.studio.counters["problem_too_many_rooms"] == 1
        await page.socket.close()


async def test_a_socket_that_is_stuck_is_aborted(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSE_S", 0.1)
    session = await control.create()
    stuck, joined = await control.arrive(session, "Stuck")
    other, _ = await control.arrive(session, "Other")
    transport = stuck.socket._response.connection.transport
    assert transport is not None
    transport.pause_reading()
    room = control.studio.rooms.live[session["session_id"]]
    behind = room.participants[joined["participant_id"]].connection
    assert behind is not None
    while not behind.closing:
        behind.send_text("x" * 100_000)
        await asyncio.sleep(0)
    assert (await other.expect("participant_updated"))["participant"]["connected"] is False
    await other.send(type="heartbeat")
    await other.expect("heartbeat")
    assert behind._transport is not None
    while not behind._transport.is_closing():
        await asyncio.sleep(0.01)


# --- heartbeats and clock


async def test_heartbeats_and_clock_questions_are_answered(control: Control) -> None:
    page, _ = await control.arrive(await control.create())
    await page.send(type="heartbeat")
    await page.expect("heartbeat")
    await page.send(type="clock", page_ms=1234.5)
    answer = await page.expect("clock")
    assert answer["page_ms"] == 1234.5
    assert answer["session_ms"] >= page.seen[0]["session_ms"]


async def test_a_page_that_falls_silent_is_dead_then_lost(quick: Control) -> None:
    session = await quick.create()
    silent, joined = await quick.arrive(session, "Silent")
    witness, _ = await quick.arrive(session, "Witness")
    beating = asyncio.create_task(keep_beating(witness))
    updated = await witness.expect("participant_updated")
    assert updated["participant"]["connected"] is False
    left = await witness.expect("participant_left")
    assert (left["participant_id"], left["reason"]) == (joined["participant_id"], "lost")
    assert await silent.close_code() == connection.CLOSE_SILENT
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert joined["participant_id"] not in quick.sfu.rooms[session["session_id"]].peers


async def keep_beating(page: Page) -> None:
    while True:
        await page.send(type="heartbeat")
        await asyncio.sleep(0.05)


# --- coming back


async def test_within_the_grace_period_a_page_resumes_with_its_peer(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    await publish(page, "camera")
    before = control.peer(session, joined)
    await page.socket.close()
    assert (await witness.expect("participant_updated"))["participant"]["connected"] is False
    back = await control.enter(joined, resume=True)
    assert back.seen[0]["resumed"] is True
    assert control.peer(session, joined) is before
    assert (await back.expect("webrtc_offer"))["offer_id"] == 2
    updated = (await witness.expect("participant_updated"))["participant"]
    assert updated["connected"] is True
    assert len(updated["tracks"]) == 1


async def test_coming_back_without_resuming_starts_with_a_new_peer(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    await publish(page, "camera")
    before = control.peer(session, joined)
    await page.socket.close()
    back = await control.enter(joined, resume=False)
    assert back.seen[0]["resumed"] is False
    assert control.peer(session, joined) is not before
    assert (await witness.expect("track_published"))["track"]["kind"] == "camera"
    await witness.expect("track_unpublished")
    assert (await witness.expect("participant_updated"))["participant"]["tracks"] == []
    before.observer.track_published(next(iter(before.by_mid.values())))
    await witness.send(type="heartbeat")
    assert (await witness.next())["type"] == "heartbeat"


async def test_resuming_what_the_server_does_not_know_is_not_resumed(control: Control) -> None:
    joined = await control.join(await control.create())
    page = await control.enter(joined, resume=True)
    assert page.seen[0]["resumed"] is False
    await page.socket.close()


async def test_a_page_whose_peer_connection_failed_on_the_server_starts_with_a_new_peer(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    before = control.peer(session, joined)
    before.connection_states[TransportName.SUBSCRIBE] = "failed"
    await page.socket.close()
    back = await control.enter(joined, resume=True)
    assert back.seen[0]["resumed"] is False
    assert control.peer(session, joined) is not before


async def test_the_newest_connection_of_a_participant_wins(control: Control) -> None:
    session = await control.create()
    first, joined = await control.arrive(session)
    second = await control.enter(joined, resume=True)
    assert await first.close_code() == connection.CLOSE_REPLACED
    assert first.seen[-1] == {
        "type": "participant_left",
        "participant_id": joined["participant_id"],
        "reason": "replaced",
    }
    assert second.seen[0]["resumed"] is True
    await second.send(type="heartbeat")
    await second.expect("heartbeat")


async def test_leaving_is_told_at_once_and_the_empty_room_is_closed(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, witness_joined = await control.arrive(session, "Witness")
    await page.send(type="participant_left")
    assert await page.close_code() == connection.CLOSE_OK
    left = await witness.expect("participant_left")
    assert (left["participant_id"], left["reason"]) == (joined["participant_id"], "left")
    await witness.send(type="participant_left")
    assert await witness.close_code() == connection.CLOSE_OK
    assert session["session_id"] not in control.studio.rooms.live
    assert session["session_id"] not in control.sfu.rooms
    await control.studio.queue.close()
    rows = await control.studio.catalog.participants(session["session_id"])
    assert {row.id for row in rows if row.left_at} == {joined["participant_id"], witness_joined["participant_id"]}


async def test_when_a_place_was_given_away_a_latecomer_is_told_that_the_session_is_full(quick: Control) -> None:
    session = await quick.create(max_participants=2)
    late = await quick.join(session)
    while quick.studio.rooms.get(session["session_id"]) is not None:
        await asyncio.sleep(0.01)
    await quick.arrive(session)
    await quick.arrive(session)
    page = await quick.open_page(late)
    await page.send(type="hello", token=late["token"])
    assert await page.close_code() == connection.CLOSE_FULL
    assert page.seen[-1]["id"] == "session_full"


async def test_shutting_down_says_goodbye(tmp_path: Path) -> None:
    async with start_control(tmp_path) as control:
        page, _ = await control.arrive(await control.create())
        control.studio.close_rooms()
        assert await page.close_code() == connection.CLOSE_GOING_AWAY
        answer = await control.call("POST", "/api/v1/sessions/create", {"title": "x"})
        path = f"/api/v1/sessions/{answer.json['session_id']}/join"
        assert (await control.call("POST", path, {"display_name": "x"})).problem() == "too_many_rooms"


# --- negotiation and tracks


async def test_offers_and_answers_go_to_the_peer_and_its_refusals_come_back(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    await publish(page, "microphone")
    offer = await page_offer(page)
    await page.send(type="webrtc_answer", transport="subscribe", offer_id=offer["offer_id"], sdp="mine")
    await page.send(type="ice_candidate", transport="publish", candidate="candidate:1 1 udp 1 1.2.3.4 5 typ host")
    await page.send(type="webrtc_offer", transport="publish", sdp=BAD_SDP)
    assert (await page.expect("error"))["id"] == "bad_sdp"
    assert control.peer(session, joined).answers == [(offer["offer_id"], "mine")]
    await page.send(type="webrtc_answer", transport="subscribe", offer_id=1, sdp=BAD_SDP)
    assert (await page.expect("error"))["id"] == "bad_sdp"
    for message in (
        {"type": "webrtc_offer", "transport": "subscribe", "sdp": "x"},
        {"type": "webrtc_answer", "transport": "publish", "sdp": "x"},
    ):
        await page.send(**message)
        assert (await page.expect("error"))["id"] == "unsupported"


async def test_a_limit_of_the_media_plane_is_told_to_the_one_who_reached_it(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    for limit in Limit:
        control.peer(session, joined).observer.limit_reached(limit)
        error = await page.expect("error")
        assert (error["id"], error["detail"], error["fatal"]) == (limit.value, WEBSOCKET_ERRORS[limit], False)
    await witness.send(type="clock", page_ms=1)
    await witness.expect("clock")
    assert not [message for message in witness.seen if message["type"] == "error"]
    await page.socket.close()


async def test_an_ice_restart_is_offered_or_refused_where_the_connection_was_given_up(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    peer = control.peer(session, joined)
    offers = peer.offers
    await page.send(type="ice_restart", transport="subscribe")
    await page.send(type="ice_restart", transport="publish")
    assert (await page.expect("error"))["id"] == "unsupported"
    assert peer.offers == offers + 1
    peer.gone = True
    await page.send(type="ice_restart", transport="subscribe")
    assert (await page.expect("error"))["id"] == "connection_gone"
    assert peer.offers == offers + 1


async def test_the_quality_of_a_connection_is_told_to_everybody_and_what_is_wrong_to_the_one_concerned(
    control: Control,
) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    observer = control.peer(session, joined).observer
    fair = QualityReport(Quality.FAIR, (Finding(Trouble.UPLINK_LOSS, 4.0),))
    observer.quality(fair)
    observer.quality(QualityReport(Quality.FAIR, (Finding(Trouble.JITTER, 35.0),)))
    observer.quality(QualityReport(Quality.GOOD, ()))
    own = [await page.expect("connection_quality") for _ in range(3)]
    assert [(m["quality"], [tuple(f.values()) for f in m["findings"]]) for m in own] == [
        ("fair", [("uplink_loss", 4.0)]),
        ("fair", [("jitter", 35.0)]),
        ("good", []),
    ]
    others = [await witness.expect("connection_quality") for _ in range(2)]
    assert [(m["participant_id"], m["quality"], m["findings"]) for m in others] == [
        (joined["participant_id"], "fair", []),
        (joined["participant_id"], "good", []),
    ]
    later, _ = await control.arrive(session, "Later")
    qualities = {p["participant_id"]: p["quality"] for p in later.seen[0]["participants"]}
    assert qualities.pop(joined["participant_id"]) == "good"
    assert set(qualities.values()) == {None}, "nothing is known of the others"
    metrics = (await control.call("GET", control.operators_url + "/metrics")).body.decode()
    assert 'stemroom_connections{quality="good"} 1.0' in metrics
    assert 'stemroom_connections{quality="poor"} 0.0' in metrics
    await page.socket.close()


async def test_a_participant_with_new_connections_is_of_unknown_quality_again(control: Control) -> None:
    session = await control.create()
    first, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    stale = control.peer(session, joined).observer
    stale.quality(QualityReport(Quality.POOR, ()))
    assert (await witness.expect("connection_quality"))["quality"] == "poor"
    again = await control.enter(joined)
    updated = await witness.expect("participant_updated")
    assert updated["participant"]["quality"] is None
    stale.quality(QualityReport(Quality.FAIR, ()))
    control.peer(session, joined).observer.quality(QualityReport(Quality.GOOD, ()))
    assert (await witness.expect("connection_quality"))["quality"] == "good"
    assert await first.close_code() == connection.CLOSE_REPLACED
    await again.socket.close()


async def page_offer(page: Page) -> Json:
    offer = next((message for message in page.seen if message["type"] == "webrtc_offer"), None)
    return offer or await page.expect("webrtc_offer")


async def test_publishing_muting_and_unpublishing_is_told_to_the_others(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    await publish(page, "microphone", "camera")
    told = [(await witness.expect("track_published")) for _ in range(2)]
    assert [(one["participant_id"], one["track"]["kind"], one["track"]["codec"]) for one in told] == [
        (joined["participant_id"], "microphone", "opus"),
        (joined["participant_id"], "camera", "vp8"),
    ]
    heard = [message for message in page.seen if message["type"] == "track_published"]
    assert heard == told, "the publisher learns the ids of its tracks, before the answer"
    microphone, camera = (one["track"]["track_id"] for one in told)
    await page.send(type="track_muted", track_id=microphone, muted=True)
    muted = await witness.expect("track_muted")
    assert (muted["track_id"], muted["muted"], muted["participant_id"]) == (microphone, True, joined["participant_id"])
    later, _ = await control.arrive(session, "Later")
    person = next(p for p in later.seen[0]["participants"] if p["participant_id"] == joined["participant_id"])
    assert {track["track_id"]: track["muted"] for track in person["tracks"]} == {microphone: True, camera: False}
    await page.send(type="webrtc_offer", transport="publish", sdp="o", tracks=[{"mid": "0", "kind": "microphone"}])
    assert (await witness.expect("track_unpublished"))["track_id"] == camera
    await page.socket.close()


async def test_nobody_mutes_the_track_of_another(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    eve, _ = await control.arrive(session, "Eve")
    await publish(page, "microphone")
    track_id = (await eve.expect("track_published"))["track"]["track_id"]
    for id in (track_id, "t_aaaaaaaaaaaaaaaa"):
        await eve.send(type="track_muted", track_id=id, muted=True)
        assert (await eve.expect("error"))["id"] == "unknown_track"


async def test_what_a_page_shows_reaches_its_own_peer(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    await page.send(type="layer", track_id="t_aaaaaaaaaaaaaaaa", height=360)
    await page.send(type="layer", track_id="t_aaaaaaaaaaaaaaaa", height=0)
    await page.send(type="heartbeat")
    await page.expect("heartbeat")
    assert control.peer(session, joined).shown == [("t_aaaaaaaaaaaaaaaa", 360), ("t_aaaaaaaaaaaaaaaa", 0)]


async def test_the_state_of_a_local_copy_is_told_but_what_is_safe_only_the_server_says(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    recording = await control.record(session)
    claim: dict[str, Any] = {"captured_bytes": 900, "verified_bytes": 900, "captured_ms": 10.0, "safe_ms": 10.0}
    await page.send(type="capture_status", recording_id=recording["recording_id"], capture=claim)
    told = await witness.expect("capture_status")
    assert told["participant_id"] == joined["participant_id"]
    assert told["capture"] == claim | {"verified_bytes": 0, "safe_ms": 0.0, "state": "recording"}


async def test_no_task_outlives_the_studio(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with start_control(tmp_path) as control:
        session = await control.create()
        for name in ("Ada", "Bob"):
            await control.arrive(session, name)
        await control.record(session)
    assert asyncio.all_tasks() == before


async def test_who_speaks_is_told_as_the_media_plane_says_it(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    observer = control.sfu.rooms[session["session_id"]].peers[joined["participant_id"]].observer
    observer.active_speakers("par_aaaaaaaaaaaaaaaa", ("par_aaaaaaaaaaaaaaaa", "par_bbbbbbbbbbbbbbbb"))
    told = await page.expect("active_speakers")
    assert told["dominant"] == "par_aaaaaaaaaaaaaaaa"
    assert told["speaking"] == ["par_aaaaaaaaaaaaaaaa", "par_bbbbbbbbbbbbbbbb"]
    observer.active_speakers(None, ())
    told = await page.expect("active_speakers")
    assert (told["dominant"], told["speaking"]) == (None, [])
