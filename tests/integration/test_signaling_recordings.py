"""Recording control: who may, what is journalled, which take a track belongs to, and what a dead node left behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from recorder.events import (
    ClockNoted,
    ParticipantGone,
    ParticipantSeen,
    RecordingStarted,
    RecordingStopped,
    SpeakersChanged,
    TakeOpened,
    TrackMuteChanged,
)
from recorder.journal import FileHeader, JournalDecoder, encode_head
from recorder.report import Report, TakeReport, report_key
from recorder.report import encode as encode_report
from recorder.settings import RecorderSettings
from recorder.writer import SpoolWriter
from signaling.settings import SessionSettings
from storage.models import Segment
from storage.objects import ObjectStoreError
from tests.support.control import Control, Json, Page, start_control
from tests.support.fake_spool import FakeTap
from tests.support.journals import (
    ZERO_NS,
    S,
    audio_packets,
    file_header,
    recording_header,
    track_header,
    write_journal,
)


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


def path_of(session: Json, recording: Json | None = None, end: str = "") -> str:
    id = f"/{recording['recording_id']}" if recording else ""
    return f"/api/v1/sessions/{session['session_id']}/recordings{id}{end}"


async def publish(page: Page, *kinds: str) -> None:
    tracks = [{"mid": str(mid), "kind": kind} for mid, kind in enumerate(kinds)]
    await page.send(type="webrtc_offer", transport="publish", sdp="offer", tracks=tracks)
    await page.expect("webrtc_answer")


# --- who may


async def test_only_hosts_start_stop_and_see_recordings(control: Control) -> None:
    session, foreign = await control.create(), await control.create()
    host, guest = await control.join(session, host=True), await control.join(session)
    stranger = await control.join(foreign, host=True)
    recording = await control.record(session)
    for method, path in (
        ("POST", path_of(session)),
        ("POST", path_of(session, recording, "/stop")),
        ("GET", path_of(session)),
        ("GET", path_of(session, recording)),
        ("GET", path_of(session, recording, "/manifest")),
    ):
        for token, status, id in (
            ("", 401, "unauthorized"),
            ("guessed", 401, "unauthorized"),
            (stranger["token"], 401, "unauthorized"),
            (foreign["host_secret"], 401, "unauthorized"),
            (guest["token"], 403, "forbidden"),
        ):
            answer = await control.call(method, path, token=token)
            assert (answer.status, answer.problem()) == (status, id), path
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert (await control.call("GET", path_of(session), token=host["token"])).status == 200
    basic = await control.call("GET", path_of(session), headers={"Authorization": f"Basic {host['token']}"})
    assert basic.problem() == "unauthorized"


async def test_a_recording_of_another_session_is_unknown(control: Control) -> None:
    session, foreign = await control.create(), await control.create()
    recording = await control.record(foreign)
    for id in (recording["recording_id"], "rec_aaaaaaaaaaaaaaaa", "x"):
        for method, end in (("POST", "/stop"), ("GET", ""), ("GET", "/manifest")):
            path = path_of(session, {"recording_id": id}, end)
            answer = await control.call(method, path, token=session["host_secret"])
            assert (answer.status, answer.problem()) == (404, "unknown_recording")


# --- start and stop


async def test_starting_and_stopping_is_told_to_everybody_and_kept(control: Control) -> None:
    session = await control.create(title="Episode 1")
    page, joined = await control.arrive(session, "Ada")
    recording = await control.record(session)
    assert recording["state"] == "recording"
    assert (await page.expect("recording_status"))["recording"] == recording
    late, late_joined = await control.arrive(session, "Bob")
    assert late.seen[0]["recording"] == recording
    stopped = await control.stop(session, recording)
    assert stopped["state"] == "finishing"
    assert stopped["stopped_ms"] > recording["started_ms"]
    assert (await page.expect("recording_status"))["recording"] == stopped
    listed = (await control.call("GET", path_of(session), token=session["host_secret"])).json
    assert listed == {"recordings": [stopped]}
    [journal] = control.spool.of(recording["recording_id"])
    [started] = journal.of(RecordingStarted)
    assert journal.events[0] is started
    assert (started.title, started.started_ns / 1e6) == ("Episode 1", recording["started_ms"])
    assert [seen.participant_id for seen in journal.of(ParticipantSeen)] == [
        joined["participant_id"],
        late_joined["participant_id"],
    ]
    assert [event.stopped_ns / 1e6 for event in journal.of(RecordingStopped)] == [stopped["stopped_ms"]]
    assert journal.closed


async def test_stopping_twice_gives_the_same_answer(control: Control) -> None:
    session = await control.create()
    recording = await control.record(session)
    assert await control.stop(session, recording) == await control.stop(session, recording)
    assert len(control.spool.of(recording["recording_id"])[0].of(RecordingStopped)) == 1


async def test_of_many_starts_at_once_one_wins(control: Control) -> None:
    session = await control.create()
    starts = (control.call("POST", path_of(session), token=session["host_secret"]) for _ in range(5))
    answers = await asyncio.gather(*starts)
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    assert {answer.problem() for answer in answers if answer.status == 409} == {"already_recording"}
    assert len(control.spool.journals) == 1


async def test_a_body_that_means_something_is_refused(control: Control) -> None:
    session = await control.create()
    answer = await control.call("POST", path_of(session), {"title": "x"}, session["host_secret"])
    assert (answer.status, answer.problem()) == (400, "bad_request")
    assert (await control.call("POST", path_of(session), {}, session["host_secret"])).status == 201


async def test_a_session_can_be_recorded_again(control: Control) -> None:
    session = await control.create()
    await control.stop(session, await control.record(session))
    await control.stop(session, await control.record(session))
    assert len((await control.call("GET", path_of(session), token=session["host_secret"])).json["recordings"]) == 2


async def test_a_stop_counts_even_while_the_database_is_away(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await control.create()
    recording = await control.record(session)
    stop = control.studio.catalog.stop_recording
    attempts = 0

    async def away(id: str, stopped_ns: int) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise OSError("connection refused")
        return await stop(id, stopped_ns)

    monkeypatch.setattr(control.studio.catalog, "stop_recording", away)
    assert (await control.stop(session, recording))["state"] == "finishing"
    assert attempts == 3
    assert control.studio.counters["catalog_retries"] == 2


async def test_when_the_last_participant_leaves_the_recording_stops(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    recording = await control.record(session)
    await page.send(type="participant_left")
    await page.close_code()
    assert control.spool.of(recording["recording_id"])[0].closed
    assert session["session_id"] not in control.studio.rooms.live
    assert (await control.stop(session, recording))["state"] == "finishing"


async def test_when_everybody_is_lost_the_recording_stops_after_the_grace_period(tmp_path: Path) -> None:
    async with start_control(tmp_path, session=SessionSettings(grace_s=0.05)) as control:
        session = await control.create()
        page, _ = await control.arrive(session)
        recording = await control.record(session)
        await page.socket.close()
        while session["session_id"] in control.studio.rooms.live:
            await asyncio.sleep(0.01)
        assert control.spool.of(recording["recording_id"])[0].of(RecordingStopped)


# --- a start is a promise


@pytest.mark.pain("14")
async def test_a_start_is_confirmed_when_its_journal_is_on_the_disk(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session, host=True)
    control.spool.held = []
    start = asyncio.create_task(control.record(session))
    status = await page.expect("recording_status")
    assert status["recording"]["state"] == "recording", "everybody is told at once: it is being recorded"
    assert (await control.call("POST", path_of(session), token=session["host_secret"])).status == 409
    assert not start.done()
    for written in control.spool.held:
        written.set_result(None)
    assert (await start)["recording_id"] == status["recording"]["recording_id"]


@pytest.mark.pain("14")
async def test_a_start_that_the_disk_does_not_take_is_refused_and_can_be_tried_again(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session, host=True)
    control.spool.broken = True
    refused = await control.call("POST", path_of(session), token=session["host_secret"])
    assert (refused.status, refused.json["id"]) == (503, "spool_unavailable")
    assert [(await page.expect("recording_status"))["recording"]["state"] for _ in range(2)] == [
        "recording",
        "finishing",
    ]
    control.spool.broken = False
    assert (await control.record(session))["state"] == "recording"


async def test_a_start_that_the_disk_does_not_answer_is_refused_after_a_while(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.recording_log.DURABLE_S", 0.01)
    session = await control.create()
    control.spool.held = []
    refused = await control.call("POST", path_of(session), token=session["host_secret"])
    assert (refused.status, refused.json["id"]) == (503, "spool_unavailable")
    assert session["session_id"] not in control.studio.rooms.live


# --- takes


@pytest.mark.pain("10")
@pytest.mark.pain("11")
async def test_a_take_goes_on_over_republishing_and_rejoining(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    recording = await control.record(session)
    await publish(page, "microphone", "camera")
    taps = [control.peer(session, joined).hear(mid) for mid in ("0", "1")]
    await publish(page, "microphone")
    await publish(page, "microphone", "camera")
    taps.append(control.peer(session, joined).hear("1"))
    await page.socket.close()
    back = await control.enter(joined, resume=False)
    await publish(back, "microphone", "camera")
    taps += [control.peer(session, joined).hear(mid) for mid in ("0", "1")]
    [journal] = control.spool.of(recording["recording_id"])
    assert [(take.kind, take.slot) for take in journal.of(TakeOpened)] == [("microphone", 0), ("camera", 0)]
    microphone, camera = (take.take_id for take in journal.of(TakeOpened))
    headers = [tap.header for tap in taps if isinstance(tap, FakeTap)]
    assert [header.take_id for header in headers] == [microphone, camera, camera, microphone, camera]
    assert len({header.segment_id for header in headers}) == 5
    assert [tap.ended for tap in journal.taps] == [True, True, True, False, False]
    await control.stop(session, recording)
    assert all(tap.ended for tap in journal.taps)
    rows = await control.studio.catalog.takes(recording["recording_id"])
    assert {row.id for row in rows} == {microphone, camera}


async def test_a_second_source_of_the_same_kind_is_another_take(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    recording = await control.record(session)
    await publish(page, "camera", "camera")
    for mid in ("1", "0"):
        control.peer(session, joined).hear(mid)
    control.peer(session, joined).hear("1", ssrc=2)
    [journal] = control.spool.of(recording["recording_id"])
    opened = journal.of(TakeOpened)
    assert [(take.kind, take.slot) for take in opened] == [("camera", 0), ("camera", 1)]
    assert [tap.header.take_id for tap in journal.taps] == [opened[0].take_id, opened[1].take_id, opened[0].take_id]


async def test_muting_is_noted_in_the_journal(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    await publish(page, "microphone")
    track_id = (await witness.expect("track_published"))["track"]["track_id"]
    recording = await control.record(session)
    control.peer(session, joined).hear("0")
    await page.send(type="track_muted", track_id=track_id, muted=True)
    await witness.expect("track_muted")
    [journal] = control.spool.of(recording["recording_id"])
    [muted] = journal.of(TrackMuteChanged)
    assert muted.muted
    assert muted.take_id == journal.of(TakeOpened)[0].take_id
    assert muted.at_ns > 0


async def test_who_comes_goes_and_speaks_is_noted_in_the_journal(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    recording = await control.record(session)
    guest, _ = await control.arrive(session, "Guest")
    host_id = joined["participant_id"]
    room = control.sfu.rooms[session["session_id"]]
    assert room.sink is not None
    for dominant, speaking in ((None, ()), (host_id, (host_id,)), (host_id, [host_id]), (host_id, ())):
        room.sink.speakers(dominant, speaking)
    await guest.send(type="participant_left")
    await page.expect("participant_left")
    [journal] = control.spool.of(recording["recording_id"])
    seen, gone = journal.of(ParticipantSeen), journal.of(ParticipantGone)
    assert [who.display_name for who in seen] == ["Ada", "Guest"]
    assert [who.participant_id for who in gone] == [seen[1].participant_id]
    assert seen[1].at_ns is not None
    assert (seen[0].at_ns or 0) <= seen[1].at_ns <= gone[0].at_ns
    said = [(event.dominant, event.speaking) for event in journal.of(SpeakersChanged)]
    assert said == [(host_id, [host_id]), (host_id, [])], "said once, and silence at the beginning goes without saying"


async def test_a_muted_track_that_ends_leaves_its_take_unmuted_for_the_next(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    witness, _ = await control.arrive(session, "Witness")
    await publish(page, "microphone")
    track_id = (await witness.expect("track_published"))["track"]["track_id"]
    recording = await control.record(session)
    control.peer(session, joined).hear("0")
    for _ in range(2):
        await page.send(type="track_muted", track_id=track_id, muted=True)
        await witness.expect("track_muted")
    await page.send(type="participant_left")
    await witness.expect("participant_left")
    [journal] = control.spool.of(recording["recording_id"])
    changes = journal.of(TrackMuteChanged)
    assert [change.muted for change in changes] == [True, False], "said once, however often it comes"
    assert len({change.take_id for change in changes}) == 1


# --- files


async def test_a_recording_shows_its_takes_with_urls_of_what_is_stored(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session, "Zoë / <b>")
    recording = await control.record(session)
    await publish(page, "camera")
    control.peer(session, joined).hear("0")
    await control.stop(session, recording)
    [take] = await control.studio.catalog.takes(recording["recording_id"])
    key = f"sessions/{session['session_id']}/recordings/{recording['recording_id']}/server/seg_aaaaaaaaaaaaaaaa.webm"
    await control.studio.store.put(key, b"a film", content_type="video/webm")
    stored = {"codec": "vp8", "content_type": "video/webm", "object_key": key, "size_bytes": 6, "sha256": "a" * 64}
    times = {"start_ns": 5, "start_bound_ns": 6, "duration_ns": 7}
    for id, state, extra in (
        ("seg_aaaaaaaaaaaaaaaa", "stored", stored | times),
        ("seg_bbbbbbbbbbbbbbbb", "capturing", {}),
    ):
        await control.studio.catalog.upsert_segment(
            Segment(id=id, take_id=take.id, copy="server", state=state, **extra)
        )
    shown = (await control.call("GET", path_of(session, recording), token=session["host_secret"])).json
    assert shown["state"] == "finishing"
    assert shown["participants"] == [
        {"participant_id": joined["participant_id"], "display_name": "Zoë / <b>", "role": "guest"}
    ]
    [shown_take] = shown["takes"]
    by_id = {segment["segment_id"]: segment for segment in shown_take["segments"]}
    done, running = by_id["seg_aaaaaaaaaaaaaaaa"], by_id["seg_bbbbbbbbbbbbbbbb"]
    assert stored.items() - {("object_key", key)} | times.items() <= done.items()
    assert done["file_name"].startswith("zoe-b-camera-server")
    assert (running["play_url"], running["download_url"]) == (None, None)
    played = await control.call("GET", done["play_url"])
    assert (played.status, played.body, played.headers["Content-Type"]) == (200, b"a film", "video/webm")
    assert "Content-Disposition" not in played.headers
    downloaded = await control.call("GET", done["download_url"])
    assert done["file_name"] in downloaded.headers["Content-Disposition"]
    await page.socket.close()


REASON = "For 2.0 s its sender captured nothing (2.0 %)."


async def put_report(control: Control, session: Json, recording: Json, data: bytes | None = None) -> None:
    """As the recorder writes it: the take's grade is D."""
    [take] = await control.studio.catalog.takes(recording["recording_id"])
    ids = {"session_id": session["session_id"], "recording_id": recording["recording_id"]}
    kept = {"participant_id": take.participant_id, "kind": take.kind, "slot": take.slot}
    graded = TakeReport(
        take_id=take.id, grade="D", reasons=[REASON], duration_ms=0, between_files_ms=0, segments=[], **kept
    )
    report = Report(**ids, grade="D", reasons=["1 of 1 take has grade D."], takes=[graded])
    key = report_key(**ids)
    await control.studio.store.put(key, data or encode_report(report), content_type="application/json")


async def test_grades_come_with_the_finished_recording_and_the_report_with_them(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    recording = await control.record(session)
    await publish(page, "camera")
    control.peer(session, joined).hear("0")
    await control.stop(session, recording)
    await put_report(control, session, recording)

    async def shown() -> Json:
        detail: Json = (await control.call("GET", path_of(session, recording), token=session["host_secret"])).json
        return detail

    early = await shown()
    assert (early["grade"], early["report_url"]) == (None, None)
    assert (early["takes"][0]["grade"], early["takes"][0]["reasons"]) == (None, [])
    await control.studio.catalog.set_recording_state(recording["recording_id"], "finished")
    detail = await shown()
    assert (detail["grade"], detail["takes"][0]["grade"], detail["takes"][0]["reasons"]) == ("D", "D", [REASON])
    report = await control.call("GET", detail["report_url"])
    assert (report.status, report.json["takes"][0]["grade"]) == (200, "D")
    assert f"{recording['recording_id']}-report.json" in report.headers["Content-Disposition"]
    await page.socket.close()


async def test_files_are_shown_without_a_report_that_cannot_be_read(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    recording = await control.record(session)
    await publish(page, "camera")
    control.peer(session, joined).hear("0")
    await control.stop(session, recording)
    await control.studio.catalog.set_recording_state(recording["recording_id"], "finished")

    async def grade() -> object:
        answer = await control.call("GET", path_of(session, recording), token=session["host_secret"])
        assert (answer.status, len(answer.json["takes"]), answer.json["report_url"]) == (200, 1, None)
        return answer.json["grade"]

    assert await grade() is None, "an earlier version made it"
    for data in (b'{"grade": "Z", "takes": []}', b'{"grade": "A"', b"\xff"):
        await put_report(control, session, recording, data)
        assert await grade() is None
    await put_report(control, session, recording)

    def away(*_: object, **__: object) -> None:
        raise ObjectStoreError("unavailable", "the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(control.studio.store, "get", away)
        assert await grade() is None

    async def hanging(*_: object, **__: object) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    with monkeypatch.context() as patched:
        patched.setattr(control.studio.store, "get", hanging)
        patched.setattr("signaling.files.REPORT_S", 0.05)
        assert await grade() is None
    await page.socket.close()


async def test_the_manifest_is_given_as_the_recorder_wrote_it(control: Control) -> None:
    session = await control.create()
    recording = await control.record(session)
    path = path_of(session, recording, "/manifest")
    answer = await control.call("GET", path, token=session["host_secret"])
    assert (answer.status, answer.problem()) == (404, "manifest_not_ready")
    key = f"sessions/{session['session_id']}/recordings/{recording['recording_id']}/manifest.json"
    await control.studio.store.put(key, b'{"manifest_version": 0}\n', content_type="application/json")
    answer = await control.call("GET", path, token=session["host_secret"])
    assert (answer.status, answer.body) == (200, b'{"manifest_version": 0}\n')


# --- the end of a node


async def test_closing_the_studio_stops_recordings_in_order(tmp_path: Path) -> None:
    async with start_control(tmp_path) as control:
        session = await control.create()
        await control.arrive(session)
        recording = await control.record(session)
    [journal] = control.spool.of(recording["recording_id"])
    assert isinstance(journal.events[-1], RecordingStopped)
    async with start_control(tmp_path) as control:
        assert not await control.studio.catalog.open_recordings()


async def test_what_a_dead_node_left_is_stopped_when_its_spool_was_last_written(tmp_path: Path) -> None:
    async with start_control(tmp_path) as control:
        session = await control.create()
        recording = await control.record(session)
        id = recording["recording_id"]
        row = await control.studio.catalog.recording(id)
        control.studio.recordings._running.clear()
        control.studio.rooms.live[session["session_id"]].recording = None  # the node dies here
    assert row is not None
    left = tmp_path / "spool" / id
    left.mkdir(parents=True)
    (left / "events-0.journal").write_bytes(b"torn")
    died_at = (left / "events-0.journal").stat().st_mtime_ns
    async with start_control(tmp_path) as control:
        [journal] = control.spool.of(id)
        assert [type(event) for event in journal.events] == [RecordingStarted, RecordingStopped]
        assert journal.closed
        shown = (await control.call("GET", path_of(session), token=session["host_secret"])).json["recordings"]
        assert [one["state"] for one in shown] == ["finishing"]
        zero = await control.studio.catalog.session(session["session_id"])
        assert zero is not None
        assert shown[0]["stopped_ms"] == pytest.approx((died_at - zero.clock_zero_wall_ns) / 1e6)
        assert control.studio.counters["recordings_recovered"] == 1


async def test_a_wall_clock_that_was_moved_does_not_move_the_end_of_what_a_dead_node_left(tmp_path: Path) -> None:
    async with start_control(tmp_path) as control:
        session = await control.create()
        recording = await control.record(session)
        id = recording["recording_id"]
        began = await control.studio.catalog.recording(id)
        assert began is not None
        control.studio.recordings._running.clear()
        control.studio.rooms.live[session["session_id"]].recording = None  # the node dies here
    left = tmp_path / "spool" / id
    at_ns = began.started_ns + 20 * S
    head = file_header(recording=replace(recording_header(id), zero_monotonic_ns=ZERO_NS))
    opened = replace(head, opened_monotonic_ns=ZERO_NS + began.started_ns)
    write_journal(left, track_header("opus"), audio_packets([b"\xf8\xff\xfe"], at_ns=at_ns), end=False)
    (left / "events-0.journal").write_bytes(encode_head(opened))
    async with start_control(tmp_path) as control:
        shown = (await control.call("GET", path_of(session), token=session["host_secret"])).json["recordings"]
        assert shown[0]["stopped_ms"] == pytest.approx(at_ns / 1e6)


async def test_the_wall_clock_is_noted_every_ten_seconds_while_it_is_recorded(control: Control) -> None:
    session = await control.create()
    recording = await control.record(session)
    [journal] = control.spool.of(recording["recording_id"])
    before = [event for event in journal.events if isinstance(event, ClockNoted)]
    now_s = time.monotonic() + 60
    for passed_s in (0.0, 9.0, 10.5, 12.0, 21.0):
        control.studio.watchdog.look(now_s + passed_s)
    noted = [event for event in journal.events if isinstance(event, ClockNoted)][len(before) :]
    assert len(noted) == 3
    assert all(event.boot_id and event.wall_ns > 0 and event.at_ns > 0 for event in noted)


async def test_the_real_journal_holds_what_was_recorded(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path / "spool", RecorderSettings(write_interval_s=0.01))
    spool.start()
    try:
        async with start_control(tmp_path) as control:
            control.studio.recordings._spool = spool
            session = await control.create()
            page, joined = await control.arrive(session)
            recording = await control.record(session)
            await publish(page, "microphone")
            tap = control.peer(session, joined).hear("0")
            assert tap is not None
            tap.packet(1.0, 1, 2, True, b"opus")
            await control.stop(session, recording)
            await page.socket.close()
    finally:
        spool.close()
    folder = tmp_path / "spool" / recording["recording_id"]
    [events] = [JournalDecoder().feed(path.read_bytes()) for path in folder.glob("events-*")]
    [packets] = [JournalDecoder().feed(path.read_bytes()) for path in folder.glob("seg_*")]
    assert isinstance(events[0], FileHeader)
    row = await read_session(tmp_path, session["session_id"])
    assert events[0].recording.zero_monotonic_ns == row
    names = [type(record).__name__ for record in events]
    assert names == [
        "FileHeader",
        "RecordingStarted",
        "ParticipantSeen",
        "TakeOpened",
        "RecordingStopped",
        "JournalEnd",
    ]
    assert [type(record).__name__ for record in packets] == ["FileHeader", "JournalPacket", "JournalEnd"]


async def read_session(folder: Path, id: str) -> int:
    async with start_control(folder) as control:
        row = await control.studio.catalog.session(id)
        assert row is not None
        assert row.created_at <= datetime.now(UTC)
        return row.clock_zero_monotonic_ns
