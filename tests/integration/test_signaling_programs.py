"""WHIP and WHEP over real HTTP: tokens, resources, presence, refusals. Media are fakes here."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.events import ParticipantSeen
from sfu.interfaces import TrackKind, TransportName, Watch
from signaling.settings import SessionSettings
from tests.support.control import Answer, Control, Json, start_control
from tests.support.fake_sfu import BAD_SDP, FakePeer

OFFER = "v=0\r\na=ice-ufrag:abcd\r\n"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path, session=SessionSettings(grace_s=0.2)) as running:
        yield running


async def make(control: Control, session: Json, what: str, token: str = "", **fields: Any) -> Answer:
    path = f"/api/v1/sessions/{session['session_id']}/{what}"
    return await control.call("POST", path, {"display_name": "OBS"} | fields, token or session["host_secret"])


async def ingest(control: Control, session: Json) -> Json:
    answer = await make(control, session, "ingests")
    assert answer.status == 201, answer.json
    made: Json = answer.json
    return made


async def egress(control: Control, session: Json, **fields: Any) -> Json:
    answer = await make(control, session, "egresses", **({"display_name": "Screen"} | fields))
    assert answer.status == 201, answer.json
    made: Json = answer.json
    return made


async def post(control: Control, made: Json, offer: str | bytes = OFFER) -> Answer:
    url = made.get("whip_url") or made["whep_url"]
    data = offer if isinstance(offer, bytes) else offer.encode()
    return await control.call("POST", url, token=made["token"], data=data, headers=SDP)


async def publish(control: Control, session: Json, made: Json) -> tuple[Answer, FakePeer]:
    """An encoder whose connection is up."""
    answer = await post(control, made)
    assert answer.status == 201, answer.body
    peer = control.peer(session, made)
    peer.observer.connection_state(TransportName.PUBLISH, "connected")
    return answer, peer


# --- tokens


async def test_a_host_makes_a_token_for_an_encoder_and_it_is_kept_as_a_hash(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    assert made["whip_url"] == f"{control.url}/api/v1/sessions/{session['session_id']}/whip"
    assert made["token"] not in made["whip_url"]
    row = await control.studio.catalog.participant(made["participant_id"])
    assert row is not None
    assert (row.display_name, row.role, row.access) == ("OBS", "guest", "publish")
    assert made["token"] not in repr(vars(row))


async def test_only_hosts_make_tokens(control: Control) -> None:
    session = await control.create()
    guest, host = await control.join(session), await control.join(session, host=True)
    made = await ingest(control, session)
    for what in ("ingests", "egresses"):
        assert (await make(control, session, what, guest["token"])).problem() == "forbidden"
        assert (await make(control, session, what, "guessed")).problem() == "unauthorized"
        assert (await make(control, session, what, made["token"])).problem() == "wrong_access"
        assert (await make(control, session, what, host["token"])).status == 201


@pytest.mark.parametrize(
    "fields",
    [
        {"display_name": ""},
        {"kinds": []},
        {"kinds": ["kitchen"]},
        {"kinds": ["camera"] * 5},
        {"participant_id": "nobody"},
        {"colour": "red"},
    ],
)
async def test_a_bad_right_to_watch_is_refused(control: Control, fields: Json) -> None:
    answer = await make(control, await control.create(), "egresses", **fields)
    assert (answer.status, answer.problem()) == (400, "bad_request")


async def test_a_participant_of_another_session_cannot_be_watched(control: Control) -> None:
    stranger = await control.join(await control.create())
    session = await control.create()
    for id in (stranger["participant_id"], "par_aaaaaaaaaaaaaaaa"):
        answer = await make(control, session, "egresses", participant_id=id)
        assert (answer.status, answer.problem()) == (404, "unknown_participant")


async def test_a_token_is_good_for_one_thing(control: Control) -> None:
    session = await control.create()
    page, (publishing, watching) = (
        await control.join(session),
        (await ingest(control, session), await egress(control, session)),
    )
    for token in (page["token"], watching["token"]):
        answer = await post(control, publishing | {"token": token})
        assert (answer.status, answer.problem()) == (403, "wrong_access")
    for token in (page["token"], publishing["token"]):
        assert (await post(control, watching | {"token": token})).problem() == "wrong_access"
    for token in ("", "guessed"):
        answer = await post(control, publishing | {"token": token})
        assert (answer.status, answer.problem()) == (401, "unauthorized")
    for made in (publishing, watching):
        ws_url = page["ws_url"].replace(page["participant_id"], made["participant_id"])
        socket = await control.open_page({"ws_url": ws_url})
        await socket.send(type="hello", token=made["token"])
        assert await socket.close_code() == 4401


async def test_a_token_of_another_session_opens_nothing(control: Control) -> None:
    one, other = await control.create(), await control.create()
    made, elsewhere = await ingest(control, one), await ingest(control, other)
    assert (await post(control, made | {"token": elsewhere["token"]})).problem() == "unauthorized"


# --- publishing


async def test_an_encoder_is_a_participant_with_a_microphone_and_a_camera(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    made = await ingest(control, session)
    answer = await post(control, made)
    assert (answer.status, answer.headers["Content-Type"]) == (201, "application/sdp")
    assert answer.body.decode() == f"answer to {OFFER}"
    assert answer.headers["Location"].startswith(made["whip_url"] + "/res_")
    assert answer.headers["ETag"].strip('"') == answer.headers["Location"].rpartition("/")[2]
    joined = (await page.expect("participant_joined"))["participant"]
    assert (joined["display_name"], joined["role"], joined["connected"]) == ("OBS", "guest", False)
    assert [(await page.expect("track_published"))["track"]["kind"] for _ in range(2)] == ["microphone", "camera"]
    control.peer(session, made).observer.connection_state(TransportName.PUBLISH, "connected")
    assert (await page.expect("participant_updated"))["participant"]["connected"] is True
    shown = await control.call("GET", f"/api/v1/sessions/{session['session_id']}")
    assert shown.json["participants"] == 2
    await page.socket.close()


async def test_what_an_encoder_sends_is_recorded_as_its_takes(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    _, peer = await publish(control, session, made)
    await control.record(session)
    assert peer.hear("0", 1) is not None
    assert peer.hear("1", 2) is not None
    (journal,) = control.spool.journals
    assert sorted(tap.header.kind for tap in journal.taps) == ["camera", "microphone"]
    assert {tap.header.participant_id for tap in journal.taps} == {made["participant_id"]}


async def test_deleting_the_resource_ends_the_presence(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    made = await ingest(control, session)
    answer, _ = await publish(control, session, made)
    deleted = await control.call("DELETE", answer.headers["Location"], token=made["token"])
    assert deleted.status == 200, "as RFC 9725 says and OBS wants"
    left = await page.expect("participant_left")
    assert (left["participant_id"], left["reason"]) == (made["participant_id"], "left")
    again = await control.call("DELETE", answer.headers["Location"], token=made["token"])
    assert (again.status, again.problem()) == (404, "unknown_resource")
    await page.socket.close()


async def test_closing_the_peer_connection_ends_the_presence_and_the_room_with_the_last(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    _, peer = await publish(control, session, made)
    assert session["session_id"] in control.sfu.rooms
    peer.observer.connection_state(TransportName.PUBLISH, "closed")
    assert session["session_id"] not in control.sfu.rooms


async def test_an_encoder_that_lost_its_network_may_come_back_in_the_grace_period(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    made = await ingest(control, session)
    first, peer = await publish(control, session, made)
    await page.expect("participant_updated")
    peer.observer.connection_state(TransportName.PUBLISH, "failed")
    assert (await page.expect("participant_updated"))["participant"]["connected"] is False
    second, _ = await publish(control, session, made)
    assert (await page.expect("participant_updated"))["participant"]["connected"] is False
    assert [(await page.expect("track_published"))["track"]["kind"] for _ in range(2)] == ["microphone", "camera"]
    assert (await page.expect("participant_updated"))["participant"]["connected"] is True
    assert first.headers["Location"] != second.headers["Location"]
    gone = await control.call("DELETE", first.headers["Location"], token=made["token"])
    assert gone.problem() == "unknown_resource"
    assert [m["type"] for m in page.seen].count("participant_joined") == 1
    assert "participant_left" not in [m["type"] for m in page.seen]
    await page.socket.close()


async def test_a_new_offer_with_the_token_takes_the_place_of_the_older_resource(control: Control) -> None:
    session = await control.create(max_participants=2)
    page, _ = await control.arrive(session)
    made = await ingest(control, session)
    _, older = await publish(control, session, made)
    await publish(control, session, made)
    ended = await page.expect("track_unpublished")
    assert ended["participant_id"] == made["participant_id"]
    older.observer.connection_state(TransportName.PUBLISH, "closed")
    assert made["participant_id"] in control.sfu.rooms[session["session_id"]].peers, "what was replaced says no more"
    await page.socket.close()


async def test_who_never_sends_media_or_does_not_come_back_loses_the_place(quick: Control) -> None:
    session = await quick.create()
    page, _ = await quick.arrive(session)
    never, lost = await ingest(quick, session), await ingest(quick, session)
    assert (await post(quick, never)).status == 201
    _, peer = await publish(quick, session, lost)
    peer.observer.connection_state(TransportName.PUBLISH, "failed")
    gone = {(await page.expect("participant_left"))["participant_id"] for _ in range(2)}
    assert gone == {never["participant_id"], lost["participant_id"]}
    await page.socket.close()


async def test_a_full_room_takes_no_encoder_and_nobody_hears_of_it(control: Control) -> None:
    session = await control.create(max_participants=2)
    page, _ = await control.arrive(session)
    other, _ = await control.arrive(session, "Bob")
    await page.expect("participant_joined")
    answer = await post(control, await ingest(control, session))
    assert (answer.status, answer.problem()) == (409, "session_full")
    await page.send(type="heartbeat")
    assert (await page.next())["type"] == "heartbeat"
    for socket in (page, other):
        await socket.socket.close()


async def test_an_offer_that_cannot_be_answered_opens_no_room_and_nobody_hears_of_it(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    answer = await post(control, made, BAD_SDP)
    assert (answer.status, answer.problem()) == (400, "bad_sdp")
    assert control.sfu.rooms == {}
    _, peer = await publish(control, session, made)
    assert (await post(control, made, BAD_SDP)).problem() == "bad_sdp"
    assert control.peer(session, made) is peer, "the running resource goes on"


@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b"{}", {"Content-Type": "application/json"}, (415, "not_sdp")),
        (OFFER.encode(), {}, (415, "not_sdp")),
        (b"v=0\r\n" + b"a" * 70_000, SDP, (413, "body_too_large")),
        (b"\xff\xfe", SDP, (400, "bad_sdp")),
    ],
)
async def test_what_is_no_offer_is_refused(
    control: Control, data: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    made = await ingest(control, await control.create())
    answer = await control.call("POST", made["whip_url"], token=made["token"], data=data, headers=headers)
    assert (answer.status, answer.problem()) == expected


# --- the resource


async def test_candidates_are_taken_and_another_ice_session_is_not(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    answer, _ = await publish(control, session, made)

    async def patch(body: str, **headers: str) -> Answer:
        url = answer.headers["Location"]
        return await control.call("PATCH", url, token=made["token"], data=body.encode(), headers=FRAGMENT | headers)

    credentials = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\n"
    candidate = credentials + "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n"
    for headers in ({}, {"If-Match": answer.headers["ETag"]}, {"If-Match": "*"}):
        taken = await patch(candidate, **headers)
        assert (taken.status, taken.body) == (204, b"")
        assert "ETag" not in taken.headers
    assert (await patch("a=end-of-candidates\r\n")).status == 204
    other = await patch(candidate, **{"If-Match": '"another"'})
    assert (other.status, other.problem()) == (412, "other_ice_session")
    restart = await patch(candidate.replace("abcd", "efgh"), **{"If-Match": "*"})
    assert (restart.status, restart.problem()) == (422, "restart_unsupported")
    wrong = await control.call("PATCH", answer.headers["Location"], token=made["token"], data=b"x", headers=SDP)
    assert (wrong.status, wrong.problem()) == (415, "not_sdp_fragment")


async def test_a_resource_is_its_tokens_alone(control: Control) -> None:
    session = await control.create()
    made, other, watching = [await ingest(control, session) for _ in range(2)] + [await egress(control, session)]
    answer, _ = await publish(control, session, made)
    await publish(control, session, other)
    for method in ("DELETE", "PATCH"):
        for token, problem in (
            ("", "unauthorized"),
            (other["token"], "unknown_resource"),
            (watching["token"], "wrong_access"),
        ):
            refused = await control.call(
                method, answer.headers["Location"], token=token, data=b"a=x\r\n", headers=FRAGMENT
            )
            assert refused.problem() == problem
    assert made["participant_id"] in control.sfu.rooms[session["session_id"]].peers


async def test_reading_or_putting_is_not_allowed(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    answer, _ = await publish(control, session, made)
    for method in ("GET", "PUT", "POST"):
        refused = await control.call(method, answer.headers["Location"], token=made["token"])
        assert (refused.status, refused.problem()) == (405, "method_not_allowed")
    assert (await control.call("GET", made["whip_url"], token=made["token"])).status == 405


# --- pages of other sites


async def test_pages_of_any_site_may_ask_before_they_call(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    origin = {"Origin": "https://player.example", "Access-Control-Request-Method": "POST"}
    for url in (made["whip_url"], made["whip_url"].replace("/whip", "/whep"), made["whip_url"] + "/res_x"):
        answer = await control.call("OPTIONS", url, headers=origin)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert {"POST", "PATCH", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Accept-Post"] == "application/sdp"


async def test_pages_of_any_site_may_read_answers_and_refusals_here_and_nowhere_else(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    answer, _ = await publish(control, session, made)
    refused = await post(control, made | {"token": "guessed"})
    missing = await control.call("DELETE", made["whip_url"] + "/res_aaaaaaaaaaaaaaaa", token=made["token"])
    for one in (answer, refused, missing):
        assert one.headers["Access-Control-Allow-Origin"] == "*"
        assert {"Location", "ETag", "Link"} <= set(one.headers["Access-Control-Expose-Headers"].split(", "))
    for path in ("", "/ingests", "/recordings", "/whip/a/b"):
        elsewhere = await control.call("GET", f"/api/v1/sessions/{session['session_id']}{path}")
        assert "Access-Control-Allow-Origin" not in elsewhere.headers


# --- watching


async def test_a_player_is_a_participant_that_watches_what_its_token_says(control: Control) -> None:
    session = await control.create()
    made = await ingest(control, session)
    await publish(control, session, made)
    wanted = await egress(control, session, participant_id=made["participant_id"], kinds=["screen", "camera", "camera"])
    answer = await post(control, wanted)
    assert answer.status == 201
    assert answer.headers["Location"].startswith(wanted["whep_url"] + "/res_")
    peer = control.peer(session, wanted)
    assert peer.watches == Watch(made["participant_id"], (TrackKind.SCREEN, TrackKind.CAMERA))
    assert not peer.started, "nothing is offered to it"
    peer.observer.connection_state(TransportName.SUBSCRIBE, "connected")
    everything = await egress(control, session)
    assert (await post(control, everything)).status == 201
    assert control.peer(session, everything).watches == Watch()


async def test_where_nothing_is_published_a_player_is_told_to_ask_again_and_takes_no_place(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    answer = await post(control, await egress(control, session))
    assert (answer.status, answer.problem()) == (409, "nothing_to_watch")
    assert int(answer.headers["Retry-After"]) > 0
    await page.send(type="heartbeat")
    await page.expect("heartbeat")
    assert "participant_joined" not in [message["type"] for message in page.seen]
    await page.socket.close()


async def test_who_only_watches_is_no_participant_of_the_recording(control: Control) -> None:
    session = await control.create()
    made, before, after = await ingest(control, session), await egress(control, session), await egress(control, session)
    await publish(control, session, made)
    assert (await post(control, before)).status == 201
    await control.record(session)
    assert (await post(control, after)).status == 201
    (journal,) = control.spool.journals
    assert [seen.participant_id for seen in journal.of(ParticipantSeen)] == [made["participant_id"]]
