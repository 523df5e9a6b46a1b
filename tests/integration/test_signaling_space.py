"""When the disk for journals gets full: who is told what, what is refused, what ends, and that it can go on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder.events import RecordingStopped
from recorder.space import SpaceState
from recorder.space_watch import SpaceReport
from tests.support.control import Answer, Control, Json, start_control

MIB = 1 << 20


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


def see(control: Control, state: str, free: int = 0) -> None:
    control.studio.space.seen(SpaceReport(SpaceState(state), free, 7 * MIB))


async def start(control: Control, session: Json) -> Answer:
    path = f"/api/v1/sessions/{session['session_id']}/recordings"
    return await control.call("POST", path, token=session["host_secret"])


@pytest.mark.parametrize("state", ["low", "full"])
async def test_without_space_no_recording_begins_and_the_refusal_says_what_to_do(control: Control, state: str) -> None:
    session = await control.create()
    page, _ = await control.arrive(session, host=True)
    see(control, state)
    assert (await page.expect("recording_space"))["state"] == state
    answer = await start(control, session)
    assert (answer.status, answer.problem()) == (507, "spool_full")
    assert "make space" in answer.json["detail"]
    assert control.spool.journals == []
    see(control, "ok")
    assert (await page.expect("recording_space"))["state"] == "ok"
    assert (await start(control, session)).status == 201


async def test_a_refused_start_keeps_no_room(control: Control) -> None:
    session = await control.create()
    see(control, "low")
    await start(control, session)
    assert control.studio.rooms.live == {}


async def test_with_little_space_a_running_recording_goes_on(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    recording = await control.record(session)
    see(control, "low")
    await page.expect("recording_space")
    room = control.studio.rooms.live[session["session_id"]]
    assert room.recording is not None
    [journal] = control.spool.of(recording["recording_id"])
    assert journal.of(RecordingStopped) == []


async def test_on_a_full_disk_recordings_end_with_the_reason_and_everybody_stays(control: Control) -> None:
    first, second = await control.create(), await control.create()
    host, joined = await control.arrive(first, host=True)
    guest, _ = await control.arrive(second)
    recordings = [await control.record(first), await control.record(second)]
    see(control, "full")
    for page, recording in zip((host, guest), recordings, strict=True):
        status = await page.expect("recording_status")
        while status["recording"]["state"] == "recording":
            status = await page.expect("recording_status")
        assert (status["recording"]["recording_id"], status["reason"]) == (recording["recording_id"], "disk")
        [journal] = control.spool.of(recording["recording_id"])
        assert [stopped.reason for stopped in journal.of(RecordingStopped)] == ["disk"]
    media = control.sfu.rooms[first["session_id"]]
    assert (media.sink, list(media.peers)) == (None, [joined["participant_id"]])
    await host.send(type="clock", page_ms=1)
    await host.expect("clock")
    assert control.studio.counters["recordings_ended_by_full_disk"] == 2
    see(control, "full")
    assert control.studio.counters["recordings_ended_by_full_disk"] == 2
    await control.studio.recordings.settled(recordings[0]["recording_id"])
    listed = await control.call("GET", f"/api/v1/sessions/{first['session_id']}/recordings", token=first["host_secret"])
    assert [row["state"] for row in listed.json["recordings"]] == ["finishing"]


async def test_a_recording_that_slipped_in_while_the_disk_became_full_ends_with_the_next_look(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    see(control, "full")
    room = control.studio.rooms.live[session["session_id"]]
    room.begin_recording(await control.studio.recordings.start(room.session, room.clock))
    see(control, "full")
    assert room.recording is None
    await page.expect("recording_status")
    assert (await page.expect("recording_status"))["reason"] == "disk"


async def test_a_stop_by_the_host_has_no_reason(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    recording = await control.record(session)
    await control.stop(session, recording)
    await page.expect("recording_status")
    assert (await page.expect("recording_status"))["reason"] == ""
    [journal] = control.spool.of(recording["recording_id"])
    assert [stopped.reason for stopped in journal.of(RecordingStopped)] == [""]


async def test_who_comes_later_is_told_in_the_welcome_and_nobody_twice(control: Control) -> None:
    session = await control.create()
    early, _ = await control.arrive(session)
    assert early.seen[0]["recording_space"] == "ok"
    see(control, "low")
    see(control, "low")
    late, _ = await control.arrive(session)
    assert late.seen[0]["recording_space"] == "low"
    await late.send(type="clock", page_ms=1)
    await late.expect("clock")
    await early.send(type="clock", page_ms=1)
    await early.expect("clock")
    assert [m["state"] for m in early.seen if m["type"] == "recording_space"] == ["low"]
    assert [m["state"] for m in late.seen if m["type"] == "recording_space"] == []


async def test_operators_see_it_in_health_and_metrics(control: Control) -> None:
    async def metrics() -> dict[str, float]:
        text = (await control.call("GET", control.operators_url + "/metrics")).body.decode()
        lines = [line.split(" ") for line in text.splitlines() if line.startswith("stemroom_spool")]
        return {name.removeprefix("stemroom_spool_"): float(value) for name, value in lines}

    see(control, "ok", 5 * MIB)
    health = await control.call("GET", control.operators_url + "/healthz")
    assert health.json == {"status": "ok", "alarms": []}
    seen = await metrics()
    assert (seen["free_bytes"], seen["used_bytes"], seen["alarm"]) == (5 * MIB, 7 * MIB, 0)
    for state, words in (("low", "new ones are refused"), ("full", "running ones were ended")):
        see(control, state, 5 * MIB)
        health = await control.call("GET", control.operators_url + "/healthz")
        assert health.status == 503
        [alarm] = health.json["alarms"]
        assert words in alarm
        assert "5 MiB free, 7 MiB used" in alarm
        assert (await metrics())["alarm"] == 1
