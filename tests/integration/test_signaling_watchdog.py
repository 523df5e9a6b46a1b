"""Hosts are told while recordings are at risk: of what the recorder says, of its death, of the disk; guests are not."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder.events import NoticeEnded, NoticeGiven, RecordingEvent, RecordingStopped
from recorder.health import Finding, FindingCode, encode
from recorder.space import SpaceState
from recorder.space_watch import SpaceReport
from sfu.interfaces import TrackKind, TrackRequest
from signaling import watchdog
from signaling.recorder_watch import HOLD_S
from tests.support.control import Control, Json, Page, start_control
from tests.support.fake_sfu import FakePeer


@pytest.fixture
async def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Control]:
    monkeypatch.setattr(watchdog, "LOOK_S", 1e6)  # the tests look
    async with start_control(tmp_path) as running:
        yield running


def events(control: Control, recording: Json) -> list[RecordingEvent]:
    [journal] = control.spool.of(recording["recording_id"])
    return [e for e in journal.events if isinstance(e, NoticeGiven | NoticeEnded | RecordingStopped)]


async def notice(page: Page) -> tuple[str, bool]:
    message = await page.expect("notice")
    return message["code"], message["over"]


async def asked_the_clock(page: Page) -> list[str]:
    """The kinds of all messages until the answer to a question."""
    await page.send(type="clock", page_ms=1)
    await page.expect("clock")
    return [message["type"] for message in page.seen]


async def test_a_recorder_that_is_away_is_told_to_hosts_alone_and_ends(control: Control) -> None:
    session = await control.create()
    host, _ = await control.arrive(session, host=True)
    guest, _ = await control.arrive(session, "Bob")
    recording = await control.record(session)
    control.studio.watchdog.look(0.0)
    control.studio.recorder_alarm = lambda: "the recorder process does not run"
    control.studio.watchdog.look(1.0)
    control.studio.watchdog.look(2.0)
    assert await notice(host) == ("recorder_down", False)
    control.studio.recorder_alarm = lambda: ""
    control.studio.watchdog.look(3.0)
    assert await notice(host) == ("recorder_down", True)
    assert (await asked_the_clock(host)).count("notice") == 2
    assert "notice" not in await asked_the_clock(guest)
    given, ended = events(control, recording)
    assert isinstance(given, NoticeGiven)
    assert isinstance(ended, NoticeEnded)
    assert given.since_ns <= given.at_ns <= ended.at_ns


async def test_what_the_recorder_finds_is_told_in_its_own_room_while_it_says_so(control: Control) -> None:
    session, other = await control.create(), await control.create()
    host, _ = await control.arrive(session, host=True)
    elsewhere, _ = await control.arrive(other, host=True)
    recording = await control.record(session)
    await control.record(other)
    found = Finding(code=FindingCode.BEHIND, recording_id=recording["recording_id"], since_ns=7_000_000)
    control.studio.recorder.hear(encode(found), 10.0)
    control.studio.watchdog.look(10.0)
    told = await host.expect("notice")
    assert (told["code"], told["since_ms"], told["over"]) == ("recorder_behind", 7.0, False)
    assert "slow at making files" in told["text"]
    control.studio.watchdog.look(10.0 + HOLD_S + 0.1)
    assert await notice(host) == ("recorder_behind", True)
    assert "notice" not in await asked_the_clock(elsewhere)


async def test_a_host_who_comes_later_is_told_what_is_open(control: Control) -> None:
    session = await control.create()
    await control.arrive(session, host=True)
    await control.record(session)
    control.studio.space.seen(SpaceReport(SpaceState.LOW, 0, 0))
    control.studio.watchdog.look(0.0)
    late, _ = await control.arrive(session, "Late", host=True)
    guest, _ = await control.arrive(session, "Guest")
    assert await notice(late) == ("space_low", False)
    assert "notice" not in await asked_the_clock(guest)


async def test_with_the_recording_its_notices_are_over(control: Control) -> None:
    session = await control.create()
    host, _ = await control.arrive(session, host=True)
    recording = await control.record(session)
    control.studio.space.seen(SpaceReport(SpaceState.LOW, 0, 0))
    control.studio.watchdog.look(0.0)
    metrics = await control.call("GET", control.operators_url + "/metrics")
    assert 'stemroom_notices{code="space_low"} 1.0' in metrics.body.decode()
    await control.stop(session, recording)
    assert [await notice(host), await notice(host)] == [("space_low", False), ("space_low", True)]
    kinds = [type(event) for event in events(control, recording)]
    assert kinds == [NoticeGiven, NoticeEnded, RecordingStopped]
    control.studio.watchdog.look(1.0)
    metrics = await control.call("GET", control.operators_url + "/metrics")
    assert 'stemroom_notices{code="space_low"} 0.0' in metrics.body.decode()


async def published(control: Control, session: Json, joined: Json) -> FakePeer:
    """A microphone and a camera, both heard."""
    peer = control.peer(session, joined)
    tracks = [TrackRequest("0", TrackKind.MICROPHONE), TrackRequest("1", TrackKind.CAMERA)]
    peer.publish("offer", tracks)
    for mid in peer.by_mid:
        peer.hear(mid, ssrc=int(mid) + 1)
    return peer


async def test_a_device_that_gives_nothing_is_told_with_whose_it_is_until_it_does_or_is_gone(control: Control) -> None:
    session = await control.create()
    host, _ = await control.arrive(session, host=True)
    _, joined = await control.arrive(session, "Bob")
    recording = await control.record(session)
    peer = await published(control, session, joined)
    sink = peer.room.sink
    assert sink is not None
    microphone, camera = (peer.by_mid[mid].track_id for mid in "01")
    since_s = time.monotonic()
    sink.stalled(microphone, since_s)
    sink.stalled(camera, since_s)
    sink.stalled("t_unknown", since_s)
    first, second = [await host.expect("notice"), await host.expect("notice")]
    assert (first["code"], first["participant_id"]) == ("capture_stalled", joined["participant_id"])
    assert "Nothing comes from \u2068Bob\u2069’s microphone" in first["text"]
    assert "camera" in second["text"]
    assert first["take_id"] != second["take_id"]
    assert 0 <= first["since_ms"] < 60_000
    control.studio.watchdog.look(0.0)
    sink.stalled(microphone, None)
    peer.publish("offer", [TrackRequest("0", TrackKind.MICROPHONE)])
    ends = [await host.expect("notice"), await host.expect("notice")]
    assert [(end["take_id"], end["over"]) for end in ends] == [(first["take_id"], True), (second["take_id"], True)]
    given = [event for event in events(control, recording) if isinstance(event, NoticeGiven)]
    assert [event.take_id for event in given] == [first["take_id"], second["take_id"]]


async def test_what_is_wrong_with_a_take_is_told_with_whose_it_is(control: Control) -> None:
    session = await control.create()
    host, _ = await control.arrive(session, host=True)
    _, joined = await control.arrive(session, "Bob")
    recording = await control.record(session)
    await published(control, session, joined)
    [journal] = control.spool.of(recording["recording_id"])
    header = journal.taps[0].header
    found = Finding(
        code=FindingCode.SILENCE,
        recording_id=recording["recording_id"],
        take_id=header.take_id,
        participant_id=header.participant_id,
        kind=header.kind,
        since_ns=1_000_000,
    )
    control.studio.recorder.hear(encode(found), 10.0)
    control.studio.watchdog.look(10.0)
    told = await host.expect("notice")
    assert (told["code"], told["take_id"]) == ("digital_silence", header.take_id)
    assert told["participant_id"] == joined["participant_id"]
    assert told["text"].startswith("\u2068Bob\u2069’s microphone is on and gives no sound at all")
