"""The examples of docs/protocol.md, sent to a running server; its answers have the fields that the document shows."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import signaling.app
import signaling.operators
from signaling.rest import MAX_BODY_BYTES
from tests.support.control import Control, Json, start_control
from tests.support.protocol_document import examples, text


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


def request(name: str) -> Json:
    """The last one of this name."""
    body: Json = [example.json for example in examples("request") if example.what[1] == name][-1]
    return body


def fields(name: str) -> set[str]:
    """Of the first response of this name."""
    return set(next(example.json for example in examples("response") if example.what[2] == name))


async def test_every_request_of_the_document_is_answered_as_it_says(control: Control) -> None:
    async def call(method: str, path: str, reply: str, status: int, body: Any = None, token: str = "") -> Json:
        answer = await control.call(method, "/api/v1/sessions" + path, body, token)
        assert (answer.status, set(answer.json)) == (status, fields(reply)), answer.json
        content: Json = answer.json
        return content

    session = await call("POST", "/create", "SessionCreated", 201, request("CreateSession"))
    path, secret = f"/{session['session_id']}", session["host_secret"]
    await call("GET", path, "SessionView", 200)
    joined = await call("POST", path + "/join", "Joined", 201, request("Join") | {"host_secret": secret})
    await call("POST", path + "/ingests", "IngestCreated", 201, request("CreateIngest"), secret)
    watched = {"participant_id": joined["participant_id"]}
    await call("POST", path + "/egresses", "EgressCreated", 201, request("CreateEgress") | watched, secret)
    recording = await call("POST", path + "/recordings", "RecordingView", 201, request("Empty"), secret)
    one = f"{path}/recordings/{recording['recording_id']}"
    token = joined["token"]
    capture = await call("POST", one + "/captures", "CaptureOpened", 201, request("OpenCapture"), token)
    chunk = f"{one}/captures/{capture['segment_id']}/chunks/0"
    data = bytes(request("AnnounceChunk")["size_bytes"])
    truth = {"sha256": hashlib.sha256(data).hexdigest()}
    url = await call("POST", chunk, "ChunkUrl", 200, request("AnnounceChunk") | truth, token)
    assert len(data) > MAX_BODY_BYTES
    assert (await control.call(url["method"], url["url"], data=data)).status == 200
    await call("POST", chunk + "/confirm", "ChunkConfirmed", 200, request("ConfirmChunk") | truth, token)
    finish = f"{one}/captures/{capture['segment_id']}/finish"
    missing = await control.call("POST", "/api/v1/sessions" + finish, request("FinishCapture"), token)
    [problem] = [example.json for example in examples("problem")]
    assert (set(missing.json), missing.json["missing"]) == (set(problem), [1, 2])
    await call("POST", finish, "CaptureFinished", 200, request("FinishCapture") | {"chunks": 1}, token)
    marked = await call("POST", one + "/off-record", "OffRecordView", 201, request("MarkOffRecord"), token)
    listed = await call("GET", one + "/off-record", "OffRecordList", 200, None, secret)
    assert listed == {"off_record": [marked]}
    assert marked["marked_by"] == joined["participant_id"]
    both_ends = next(example.json for example in examples("request") if example.what[1] == "MarkOffRecord")
    outside = await control.call("POST", f"/api/v1/sessions{one}/off-record", both_ends, secret)
    assert outside.problem() == "off_record_outside", "this session is younger"
    confirm = request("PurgeOffRecord") | {"confirm": recording["recording_id"]}
    early = await control.call("POST", f"/api/v1/sessions{one}/purge", confirm, secret)
    assert early.problem() == "redaction_pending"
    await call("DELETE", f"{one}/off-record/{marked['off_record_id']}", "OffRecordList", 200, None, secret)
    await call("POST", one + "/stop", "RecordingView", 200, None, secret)
    await call("GET", path + "/recordings", "RecordingList", 200, None, secret)
    detail = await call("GET", one, "RecordingDetail", 200, None, secret)
    [shown] = [example.json for example in examples("response") if example.what[2] == "RecordingDetail"]
    assert set(detail["takes"][0]) == set(shown["takes"][0])
    assert set(detail["takes"][0]["segments"][0]) == set(shown["takes"][0]["segments"][0])


async def test_every_message_of_the_document_is_taken(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session, "Zoë")
    witness, _ = await control.arrive(session, "Witness")
    for example in examples("from-participant"):
        if example.json["type"] in ("hello", "participant_left"):
            continue  # `arrive` says the one, the other ends it
        await page.send(**example.json)
        if example.json["type"] == "track_muted":  # of a track that nobody has
            assert (await page.expect("error"))["id"] == "unknown_track"
    await page.send(type="track_muted", track_id=await camera(witness), muted=True)
    await page.send(type="participant_left")
    assert await page.close_code() == 1000
    assert [message["id"] for message in page.seen if message["type"] == "error"] == ["unknown_track"]
    await witness.expect("participant_left")
    shown = {example.json["type"]: set(example.json) for example in examples("from-server")}
    for message in page.seen + witness.seen:
        assert set(message) == shown[message["type"]]
    assert len({message["type"] for message in page.seen + witness.seen}) >= 10
    assert joined["role"] == "guest"


async def camera(witness: Any) -> str:
    while True:
        told = next((one for one in witness.seen if one["type"] == "track_published"), None)
        if told is not None:
            id: str = told["track"]["track_id"]
            return id
        await witness.next()


async def test_every_route_is_in_the_document(control: Control) -> None:
    document = text()
    pages = {"/", "/createsession", "/session/{session_id}", "/session/{session_id}/files", "/static/{path}"}
    for application in (signaling.app.build(control.studio), signaling.operators.build(control.studio)):
        for route in application.router.routes():
            assert route.resource is not None
            path = route.resource.canonical
            if route.method != "HEAD" and path not in pages:
                assert f"{route.method} {path}" in document
