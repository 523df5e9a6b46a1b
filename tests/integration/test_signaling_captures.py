"""Local copies over REST: only what was read back and compared is confirmed, and nothing confirmed is forgotten."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.events import (
    CaptureFinished,
    CaptureOpened,
    ChunkVerified,
    RecordingStarted,
    RecordingStopped,
    TakeOpened,
)
from signaling import captures
from storage.models import Segment
from tests.support.control import Answer, Control, Json, start_control


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


def described(data: bytes) -> Json:
    return {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class Copy:
    """One participant's local copy, as its page sends it."""

    def __init__(self, control: Control, session: Json, recording: Json, token: str, segment_id: str = "") -> None:
        self.control = control
        self.path = f"/api/v1/sessions/{session['session_id']}/recordings/{recording['recording_id']}/captures"
        self.token = token
        self.segment_id = segment_id

    async def open(self, **fields: Any) -> Answer:
        wish = {"kind": "camera", "content_type": "video/webm;codecs=vp8,opus", "start_ms": 12.5, "bound_ms": 3}
        answer = await self.call("", wish | fields)
        if answer.status == 201:
            self.segment_id = answer.json["segment_id"]
        return answer

    async def call(self, end: str, body: Any) -> Answer:
        return await self.control.call("POST", self.path + end, body, self.token)

    async def announce(self, index: int | str, data: bytes) -> Answer:
        return await self.call(f"/{self.segment_id}/chunks/{index}", described(data))

    async def confirm(self, index: int | str, data: bytes, end_ms: float = 0.0) -> Answer:
        return await self.call(f"/{self.segment_id}/chunks/{index}/confirm", described(data) | {"end_ms": end_ms})

    async def finish(self, chunks: int) -> Answer:
        return await self.call(f"/{self.segment_id}/finish", {"chunks": chunks})

    async def put(self, index: int, data: bytes, *, sent: bytes | None = None) -> None:
        announced = await self.announce(index, data)
        assert announced.status == 200, announced.json
        assert (announced.json["method"], announced.json["headers"]) == ("PUT", {})
        assert announced.json["expires_in_s"] == 300
        stored = await self.control.call("PUT", announced.json["url"], data=data if sent is None else sent)
        assert stored.status == 200

    async def send(self, index: int, data: bytes, end_ms: float) -> Json:
        await self.put(index, data)
        confirmed = await self.confirm(index, data, end_ms)
        assert confirmed.status == 200, confirmed.json
        figures: Json = confirmed.json
        return figures


async def a_copy(control: Control) -> tuple[Copy, Json, Json]:
    session = await control.create()
    joined = await control.join(session)
    recording = await control.record(session)
    copy = Copy(control, session, recording, joined["token"])
    assert (await copy.open()).status == 201
    return copy, session, recording


async def test_chunks_are_sent_confirmed_and_finished(control: Control) -> None:
    copy, session, recording = await a_copy(control)
    assert await copy.send(0, b"one", 1000) == {"verified_bytes": 3, "safe_ms": 1000.0}
    assert await copy.send(2, b"three", 3000) == {"verified_bytes": 8, "safe_ms": 1000.0}
    assert await copy.send(1, b"two", 2000) == {"verified_bytes": 11, "safe_ms": 3000.0}
    await control.stop(session, recording)
    [journal] = control.spool.of(recording["recording_id"])
    assert not journal.closed, "a capture may still send chunks"
    finished = await copy.finish(3)
    assert (finished.status, finished.json["state"]) == (200, "finishing")
    [opened] = journal.of(CaptureOpened)
    assert (opened.segment_id, opened.start_ns, opened.bound_ns) == (copy.segment_id, 12_500_000, 3_000_000)
    assert {take.take_id for take in journal.of(TakeOpened)} == {opened.take_id}
    assert [(chunk.index, chunk.size_bytes) for chunk in journal.of(ChunkVerified)] == [(0, 3), (2, 5), (1, 3)]
    assert [event.chunks for event in journal.of(CaptureFinished)] == [3]
    assert journal.closed
    row = await control.studio.catalog.segment(copy.segment_id)
    assert row is not None
    assert (row.copy, row.state, row.content_type) == ("local", "finishing", "video/webm;codecs=vp8,opus")
    key = (
        f"sessions/{session['session_id']}/recordings/{recording['recording_id']}/local/{copy.segment_id}/chunks/000002"
    )
    assert journal.of(ChunkVerified)[1].object_key == key
    assert b"".join([piece async for piece in control.studio.store.get(key)]) == b"three"


async def test_what_is_not_in_the_store_is_not_confirmed(control: Control) -> None:
    copy, _, recording = await a_copy(control)
    answer = await copy.confirm(0, b"never sent")
    assert (answer.status, answer.problem()) == (404, "chunk_missing")
    assert not control.spool.of(recording["recording_id"])[0].of(ChunkVerified)


async def test_a_damaged_chunk_is_not_confirmed_and_can_be_sent_again(control: Control) -> None:
    copy, _, recording = await a_copy(control)
    await copy.put(0, b"abcdef", sent=b"abcdeX")
    answer = await copy.confirm(0, b"abcdef")
    assert (answer.status, answer.problem()) == (422, "chunk_mismatch")
    assert not control.spool.of(recording["recording_id"])[0].of(ChunkVerified)
    assert (await copy.send(0, b"abcdef", 10))["verified_bytes"] == 6


@pytest.mark.parametrize("stored", [b"abcde", b"abcdefg", b""])
async def test_a_store_that_took_another_size_is_found_out(control: Control, stored: bytes) -> None:
    """S3 does not bind the size of a signed PUT."""
    copy, session, recording = await a_copy(control)
    key = captures.chunk_key(session["session_id"], recording["recording_id"], copy.segment_id, 0)
    await control.studio.store.put(key, stored, content_type="application/octet-stream")
    assert (await copy.confirm(0, b"abcdef")).problem() == "chunk_mismatch"


async def test_a_chunk_far_beyond_what_is_verified_is_refused(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captures, "MAX_AHEAD", 2)
    copy, _, _ = await a_copy(control)
    answer = await copy.announce(3, b"x")
    assert (answer.status, answer.problem()) == (409, "chunks_beyond")
    assert (await copy.announce(2, b"x")).status == 200
    await copy.send(0, b"one", 1000)
    assert (await copy.announce(3, b"x")).status == 200


async def test_confirming_again_changes_nothing_and_needs_the_object_no_more(control: Control) -> None:
    copy, _, recording = await a_copy(control)
    first = await copy.send(0, b"one", 1000)
    [chunk] = control.spool.of(recording["recording_id"])[0].of(ChunkVerified)
    await control.studio.store.delete(chunk.object_key)
    again = await copy.confirm(0, b"one", 1000)
    assert (again.status, again.json) == (200, first)
    other = await copy.confirm(0, b"two", 1000)
    assert (other.status, other.problem()) == (422, "chunk_mismatch")
    assert (await copy.announce(0, b"two")).problem() == "chunk_mismatch"
    assert (await copy.announce(0, b"one")).status == 200
    assert len(control.spool.of(recording["recording_id"])[0].of(ChunkVerified)) == 1


async def test_two_tabs_that_confirm_the_same_chunk_write_it_once(control: Control) -> None:
    copy, _, recording = await a_copy(control)
    await copy.put(0, b"one")
    answers = await asyncio.gather(*(copy.confirm(0, b"one", 1000) for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert len(control.spool.of(recording["recording_id"])[0].of(ChunkVerified)) == 1


async def test_a_chunk_is_confirmed_only_once_its_event_is_durable(control: Control) -> None:
    copy, _, _ = await a_copy(control)
    await copy.put(0, b"one")
    control.spool.broken = True
    answer = await copy.confirm(0, b"one", 1000)
    assert (answer.status, answer.problem()) == (503, "spool_unavailable")
    assert not await control.studio.catalog.chunks(copy.segment_id)
    control.spool.broken = False
    assert (await copy.confirm(0, b"one", 1000)).status == 200


async def test_a_capture_is_not_finished_with_chunks_missing_or_left_over(control: Control) -> None:
    copy, _, _ = await a_copy(control)
    await copy.send(1, b"two", 2000)
    answer = await copy.finish(3)
    assert (answer.status, answer.problem(), answer.json["missing"]) == (409, "chunks_missing", [0, 2])
    await copy.send(0, b"one", 1000)
    assert (await copy.finish(1)).problem() == "chunks_beyond"
    assert (await copy.finish(2)).status == 200


async def test_finishing_again_gives_the_same_answer_and_tells_the_recorder_again(control: Control) -> None:
    copy, _, recording = await a_copy(control)
    await copy.send(0, b"one", 1000)
    first, again = await copy.finish(1), await copy.finish(1)
    assert first.json == again.json == {"segment_id": copy.segment_id, "state": "finishing"}
    row = await control.studio.catalog.segment(copy.segment_id)
    assert row is not None
    await control.studio.catalog.upsert_segment(Segment(id=row.id, take_id=row.take_id, copy="local", state="stored"))
    assert (await copy.finish(1)).json["state"] == "stored"
    assert len(control.spool.of(recording["recording_id"])[0].of(CaptureFinished)) == 2


async def test_after_the_end_only_verified_chunks_are_said_to_be_finished(control: Control) -> None:
    """A page may delete its bytes on `capture_finished`: it must never hear it of a chunk that nobody has."""
    copy, _, _ = await a_copy(control)
    await copy.send(0, b"one", 1000)
    await copy.finish(1)
    assert (await copy.announce(0, b"one")).problem() == "capture_finished"
    assert (await copy.confirm(0, b"one", 1000)).status == 200
    assert (await copy.announce(1, b"two")).problem() == "chunk_refused"
    assert (await copy.confirm(1, b"two")).problem() == "chunk_refused"


async def test_a_capture_of_nothing_fails_without_an_uproar(control: Control) -> None:
    copy, _, _ = await a_copy(control)
    assert (await copy.finish(0)).json["state"] == "failed"
    row = await control.studio.catalog.segment(copy.segment_id)
    assert row is not None
    assert row.problem == "nothing was captured"
    assert (await copy.finish(0)).json["state"] == "failed"


async def test_late_chunks_reopen_the_journal_also_after_a_restart(tmp_path: Path) -> None:
    async with start_control(tmp_path) as control:
        copy, session, recording = await a_copy(control)
        await copy.send(0, b"one", 1000)
    assert all(journal.closed for journal in control.spool.journals)
    async with start_control(tmp_path) as control:
        copy = Copy(control, session, recording, copy.token, copy.segment_id)
        assert await copy.send(1, b"two", 2000) == {"verified_bytes": 6, "safe_ms": 2000.0}
        [journal] = control.spool.of(recording["recording_id"])
        assert [type(event) for event in journal.events] == [RecordingStarted, RecordingStopped, ChunkVerified]
        assert not journal.closed
        assert (await copy.finish(2)).status == 200
        assert journal.closed


async def test_a_restarted_node_knows_the_takes_it_made_before(tmp_path: Path) -> None:
    async with start_control(tmp_path) as control:
        copy, session, recording = await a_copy(control)
        take = control.spool.of(recording["recording_id"])[0].of(TakeOpened)[0]
    async with start_control(tmp_path) as control:
        copy = Copy(control, session, recording, copy.token)
        assert (await copy.open()).status == 201
        [journal] = control.spool.of(recording["recording_id"])
        assert [named.take_id for named in journal.of(TakeOpened)] == [take.take_id], "readable alone"
        assert journal.of(CaptureOpened)[0].take_id == take.take_id


async def test_a_capture_of_a_page_that_was_offline_is_taken_by_when_it_began(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, session, recording = await a_copy(control)
    await control.stop(session, recording)
    monkeypatch.setattr(captures, "START_SLACK_NS", 0)
    view = (await control.call("GET", copy.path.removesuffix("/captures"), token=session["host_secret"])).json
    middle_ms = (view["started_ms"] + view["stopped_ms"]) / 2
    assert (await copy.open(kind="microphone", content_type="audio/webm", start_ms=middle_ms)).status == 201
    for start_ms in (max(0.0, view["started_ms"] - 1), view["stopped_ms"] + 1):
        answer = await copy.open(start_ms=start_ms)
        assert (answer.status, answer.problem()) == (409, "capture_closed")
    monkeypatch.setattr(captures, "OPEN_AFTER_STOP_NS", 0)
    assert (await copy.open(start_ms=middle_ms)).problem() == "capture_closed"


async def test_a_refused_capture_does_not_hold_the_journal_open(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, session, recording = await a_copy(control)
    await copy.finish(0)
    await control.stop(session, recording)
    assert (await copy.open(start_ms=1e11)).problem() == "capture_closed"
    assert all(journal.closed for journal in control.spool.of(recording["recording_id"]))


async def test_the_same_capture_id_gives_the_same_capture(control: Control) -> None:
    copy, session, recording = await a_copy(control)
    answers = await asyncio.gather(*(copy.open(capture_id="k3-X_9") for _ in range(4)))
    [id] = {answer.json["segment_id"] for answer in answers}
    [journal] = control.spool.of(recording["recording_id"])
    assert len(await control.studio.catalog.segments(recording["recording_id"])) == 2
    assert {opened.segment_id for opened in journal.of(CaptureOpened)} >= {id}
    assert (await copy.open(capture_id="k3-X_9", kind="microphone")).problem() == "bad_request"
    eve = Copy(control, session, recording, (await control.join(session, "Eve"))["token"])
    assert (await eve.open(capture_id="k3-X_9")).json["segment_id"] != id
    other = await copy.open(capture_id="k3-X_8")
    assert other.json["segment_id"] != id


async def test_a_finished_capture_that_is_opened_again_stays_finished(control: Control) -> None:
    copy, session, recording = await a_copy(control)
    await copy.finish(0)
    first = await copy.open(capture_id="again")
    await copy.send(0, b"one", 1000)
    await copy.finish(1)
    await control.stop(session, recording)
    assert (await copy.open(capture_id="again")).json == first.json
    row = await control.studio.catalog.segment(copy.segment_id)
    assert row is not None
    assert row.state == "finishing"
    assert all(journal.closed for journal in control.spool.of(recording["recording_id"]))


@pytest.mark.parametrize("broken_during", ["takes", "segment", "add_take", "upsert_segment"])
async def test_a_stop_while_a_capture_is_opened_leaves_its_take_in_the_same_journal(
    control: Control, monkeypatch: pytest.MonkeyPatch, broken_during: str
) -> None:
    session = await control.create()
    joined = await control.join(session)
    recording = await control.record(session)
    copy = Copy(control, session, recording, joined["token"])
    real = getattr(control.studio.catalog, broken_during)

    async def stopping(*arguments: Any) -> Any:
        monkeypatch.undo()
        await control.stop(session, recording)
        return await real(*arguments)

    monkeypatch.setattr(control.studio.catalog, broken_during, stopping)
    assert (await copy.open()).status == 201
    [journal] = [one for one in control.spool.of(recording["recording_id"]) if one.of(CaptureOpened)]
    [opened] = journal.of(CaptureOpened)
    assert opened.take_id in {take.take_id for take in journal.of(TakeOpened)}
    assert not journal.closed


async def test_an_open_that_was_not_durable_can_be_repeated(control: Control) -> None:
    session = await control.create()
    recording = await control.record(session)
    copy = Copy(control, session, recording, (await control.join(session))["token"])
    control.spool.broken = True
    assert (await copy.open(capture_id="one")).problem() == "spool_unavailable"
    control.spool.broken = False
    assert (await copy.open(capture_id="one")).status == 201
    [journal] = control.spool.of(recording["recording_id"])
    [opened] = journal.of(CaptureOpened)
    assert [take.take_id for take in journal.of(TakeOpened)] == [opened.take_id]
    assert len(await control.studio.catalog.segments(recording["recording_id"])) == 1


async def test_captures_of_one_participant_are_limited(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "MAX_CAPTURES", 2)
    copy, _, _ = await a_copy(control)
    assert (await copy.open()).status == 201
    answer = await copy.open()
    assert (answer.status, answer.problem()) == (409, "too_many_captures")


async def test_a_capture_belongs_to_its_participant(control: Control) -> None:
    copy, session, recording = await a_copy(control)
    eve = Copy(control, session, recording, (await control.join(session, "Eve"))["token"], copy.segment_id)
    for answer in (await eve.announce(0, b"x"), await eve.confirm(0, b"x"), await eve.finish(0)):
        assert (answer.status, answer.problem()) == (404, "unknown_capture")
    for token in ("", "guessed", session["host_secret"]):
        assert (await Copy(control, session, recording, token).open()).problem() == "unauthorized"
    for id in ("seg_aaaaaaaaaaaaaaaa", "x"):
        stray = Copy(control, session, recording, copy.token, id)
        assert (await stray.announce(0, b"x")).problem() == "unknown_capture"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "screen"},
        {"content_type": "text/html"},
        {"content_type": "video/webm;codecs=vp8\r\nX: y"},
        {"start_ms": -1},
        {"start_ms": 1e13},
        {"bound_ms": 1e6},
        {"capture_id": ""},
        {"capture_id": "a b"},
        {"capture_id": "x" * 65},
        {"object_key": "../x"},
    ],
)
async def test_a_bad_wish_for_a_capture_is_refused(control: Control, fields: Json) -> None:
    copy, _, _ = await a_copy(control)
    assert (await copy.open(**fields)).problem() == "bad_request"


async def test_bad_chunks_are_refused(control: Control) -> None:
    copy, _, _ = await a_copy(control)
    for index in ("100000", "-1", "x", "1234567", "\u0661"):
        assert (await copy.announce(index, b"x")).problem() == "bad_request"
    for body in (
        {"size_bytes": 0, "sha256": "a" * 64},
        {"size_bytes": 8 * 1024 * 1024 + 1, "sha256": "a" * 64},
        {"size_bytes": 1, "sha256": "A" * 64},
        {"size_bytes": 1, "sha256": "a" * 63},
        {"size_bytes": 1},
    ):
        assert (await copy.call(f"/{copy.segment_id}/chunks/0", body)).problem() == "bad_request"
    assert (await copy.finish(100_001)).problem() == "bad_request"


async def test_the_room_sees_how_much_is_safe(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    recording = await control.record(session)
    copy = Copy(control, session, recording, joined["token"])
    await copy.open()
    await copy.send(0, b"one", 1000)
    told = await witness.expect("capture_status")
    assert told["participant_id"] == joined["participant_id"]
    assert (told["capture"]["verified_bytes"], told["capture"]["safe_ms"]) == (3, 1000.0)
    claim = {"captured_bytes": 99, "captured_ms": 9000.0, "verified_bytes": 99}
    await page.send(type="capture_status", recording_id=recording["recording_id"], capture=claim)
    told = (await witness.expect("capture_status"))["capture"]
    assert (told["captured_bytes"], told["verified_bytes"], told["safe_ms"]) == (99, 3, 1000.0)
    await page.socket.close()
