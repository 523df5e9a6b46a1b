"""REST: sessions and joining, with every refusal as problem details."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from signaling.settings import HttpSettings, SessionSettings
from tests.support.control import Control, start_control

NOBODY = "ses_aaaaaaaaaaaaaaaa"


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


async def test_a_session_is_created_with_links_that_hide_the_secret_in_the_fragment(control: Control) -> None:
    session = await control.create(title="  Epi\u0073ode\u202e 1 ")
    assert session["title"] == "Episode 1"
    assert session["max_participants"] == 12
    assert session["guest_url"] == f"{control.url}/session/{session['session_id']}"
    assert session["host_url"] == f"{session['guest_url']}#host={session['host_secret']}"
    kept = await control.studio.catalog.session(session["session_id"])
    assert kept is not None
    assert session["host_secret"] not in repr(vars(kept))


async def test_a_session_shows_who_is_connected_and_whether_it_is_recorded(control: Control) -> None:
    session = await control.create(max_participants=3)
    path = f"/api/v1/sessions/{session['session_id']}"
    shown = (await control.call("GET", path)).json
    assert (shown["participants"], shown["recording"], shown["max_participants"]) == (0, False, 3)
    assert "host_secret" not in shown
    page, _ = await control.arrive(session)
    recording = await control.record(session)
    shown = (await control.call("GET", path)).json
    assert (shown["participants"], shown["recording"]) == (1, True)
    await control.stop(session, recording)
    assert (await control.call("GET", path)).json["recording"] is False
    await page.socket.close()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "\u202e"},
        {"title": "x" * 121},
        {"title": "x" * 481},
        {"title": 5},
        {"title": "x", "max_participants": 1},
        {"title": "x", "max_participants": 13},
        {"title": "x", "max_participants": 101},
        {"title": "x", "colour": "red"},
        [],
    ],
)
async def test_a_bad_session_is_refused(control: Control, body: Any) -> None:
    answer = await control.call("POST", "/api/v1/sessions/create", body)
    assert (answer.status, answer.problem()) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 60_000, b'{"title": NaN}', b"\xff", b'"\\ud800"'])
async def test_what_is_no_json_is_refused(control: Control, body: bytes) -> None:
    answer = await control.call(
        "POST", "/api/v1/sessions/create", data=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status, answer.problem()) == (400, "bad_request")


async def test_a_form_of_another_site_is_refused(control: Control) -> None:
    answer = await control.call("POST", "/api/v1/sessions/create", data=b'{"title": "x"}')
    assert (answer.status, answer.problem()) == (415, "not_json")


async def test_a_body_beyond_64_kib_is_refused(control: Control) -> None:
    answer = await control.call("POST", "/api/v1/sessions/create", {"title": "x" * 70_000})
    assert (answer.status, answer.problem()) == (413, "body_too_large")


async def test_joining_gives_a_token_and_an_address_without_it(control: Control) -> None:
    session = await control.create()
    joined = await control.join(session, "Zoe\u0308")
    assert (joined["role"], joined["display_name"]) == ("guest", "Zoë")
    assert joined["token"] not in joined["ws_url"]
    assert joined["ws_url"].startswith("ws://127.0.0.1:")
    host = await control.join(session, "Host", host=True)
    assert host["role"] == "host"


async def test_a_wrong_host_secret_makes_no_guest(control: Control) -> None:
    session = await control.create()
    path = f"/api/v1/sessions/{session['session_id']}/join"
    answer = await control.call("POST", path, {"display_name": "Eve", "host_secret": "guessed"})
    assert (answer.status, answer.problem()) == (403, "wrong_host_secret")


@pytest.mark.parametrize(
    "body", [{}, {"display_name": " "}, {"display_name": "x" * 61}, {"display_name": "x", "role": "host"}]
)
async def test_a_bad_join_is_refused(control: Control, body: Any) -> None:
    session = await control.create()
    answer = await control.call("POST", f"/api/v1/sessions/{session['session_id']}/join", body)
    assert (answer.status, answer.problem()) == (400, "bad_request")


@pytest.mark.parametrize("id", [NOBODY, "x", "..%2f..%2fetc", "ses_" + "a" * 5000])
async def test_an_unknown_session_is_404_however_it_is_named(control: Control, id: str) -> None:
    for method, path in (("GET", ""), ("POST", "/join"), ("GET", "/recordings"), ("POST", "/recordings")):
        answer = await control.call(method, f"/api/v1/sessions/{id}{path}", {"display_name": "x"})
        assert (answer.status, answer.problem()) == (404, "unknown_session")


async def test_a_full_session_refuses_the_next(control: Control) -> None:
    session = await control.create(max_participants=2)
    path = f"/api/v1/sessions/{session['session_id']}/join"
    answers = await asyncio.gather(*(control.call("POST", path, {"display_name": str(n)}) for n in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 201, 409, 409, 409]
    assert {answer.problem() for answer in answers if answer.status == 409} == {"session_full"}


async def test_a_place_that_nobody_takes_is_free_after_the_grace_period(tmp_path: Path) -> None:
    async with start_control(tmp_path, session=SessionSettings(grace_s=0.05)) as control:
        session = await control.create(max_participants=2)
        late, _ = await control.join(session), await control.join(session)
        while control.studio.rooms.get(session["session_id"]) is not None:
            await asyncio.sleep(0.01)
        page = await control.enter(late)
        assert page.seen[0]["participant_id"] == late["participant_id"]
        await page.socket.close()


async def test_unknown_paths_and_methods_are_problems_too(control: Control) -> None:
    answer = await control.call("GET", "/api/v1/nothing")
    assert (answer.status, answer.problem()) == (404, "not_found")
    answer = await control.call("DELETE", "/api/v1/sessions/create")
    assert (answer.status, answer.problem()) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


async def test_a_failure_shows_nothing_of_the_inside(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(control.studio.catalog, "session", fail)
    answer = await control.call("GET", f"/api/v1/sessions/{NOBODY}")
    assert (answer.status, answer.problem()) == (500, "internal")
    assert b"swordfish" not in answer.body


async def test_a_database_that_is_away_is_503_with_retry_after(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    async def fail(_: str) -> None:
        raise OperationalError("SELECT secret", {}, Exception("connection refused"))

    monkeypatch.setattr(control.studio.catalog, "session", fail)
    answer = await control.call("GET", f"/api/v1/sessions/{NOBODY}")
    assert (answer.status, answer.problem()) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert b"SELECT" not in answer.body


async def test_a_join_that_cannot_be_written_takes_no_place(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await control.create(max_participants=2)

    async def fail(_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(control.studio.catalog, "add_participant", fail)
        for _ in range(3):
            answer = await control.call("POST", f"/api/v1/sessions/{session['session_id']}/join", {"display_name": "x"})
            assert answer.status == 500
    assert control.studio.rooms.get(session["session_id"]) is None
    await control.join(session)
    await control.join(session)


async def test_behind_a_public_url_links_and_sockets_use_it(tmp_path: Path) -> None:
    async with start_control(tmp_path, http=HttpSettings(public_url="https://studio.example")) as control:
        session = await control.create()
        assert session["guest_url"].startswith("https://studio.example/session/ses_")
        joined = await control.join(session)
        assert joined["ws_url"].startswith("wss://studio.example/ws/ses_")


@pytest.mark.parametrize("token", [b"\xff\xfe", "ä".encode(), b"a b"])
async def test_a_token_of_odd_bytes_is_no_token(control: Control, token: bytes) -> None:
    """Sent raw: no client of ours can be made to."""
    session = await control.create()
    host, port = control.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = f"/api/v1/sessions/{session['session_id']}/recordings"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer ".encode() + token + b"\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_who_is_gone_before_the_body_came_is_no_failure_of_the_server(
    control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    host, port = control.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = "Content-Type: application/json\r\nContent-Length: 100"
    writer.write(f"POST /api/v1/sessions/create HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\nabc".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    while not control.studio.counters["problem_bad_request"]:
        assert not control.studio.counters["problem_internal"]
        await asyncio.sleep(0.01)
    assert "request_failed" not in capsys.readouterr().out
