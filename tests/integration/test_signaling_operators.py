"""The operators' listener: rooms, statistics, metrics, health."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recorder.health import Health, encode
from tests.support.control import Control, start_control


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with start_control(tmp_path) as running:
        yield running


async def test_rooms_and_their_statistics_are_shown_without_names(control: Control) -> None:
    session = await control.create(title="Secret plans")
    page, joined = await control.arrive(session, "Zelda")
    await page.send(type="webrtc_offer", transport="publish", sdp="x", tracks=[{"mid": "0", "kind": "camera"}])
    await page.expect("webrtc_answer")
    recording = await control.record(session)
    rooms = await control.call("GET", control.operators_url + "/api/v1/rooms")
    [room] = rooms.json["rooms"]
    assert room["room_id"] == session["session_id"]
    assert (room["participants"], room["connected"], room["tracks"]) == (1, 1, 1)
    assert room["recording_id"] == recording["recording_id"]
    stats = await control.call("GET", control.operators_url + f"/api/v1/rooms/{room['room_id']}/stats")
    assert stats.json["media"]["participants"][0]["participant_id"] == joined["participant_id"]
    for answer in (rooms, stats):
        for secret in ("Zelda", "Secret plans", joined["token"], session["host_secret"]):
            assert secret.encode() not in answer.body
    await page.socket.close()


async def test_statistics_of_a_room_that_is_not_live_are_404(control: Control) -> None:
    answer = await control.call("GET", control.operators_url + "/api/v1/rooms/ses_aaaaaaaaaaaaaaaa/stats")
    assert (answer.status, answer.problem()) == (404, "unknown_session")


async def test_metrics_are_read_at_scrape_time_and_parse(control: Control) -> None:
    session = await control.create()
    page, _ = await control.arrive(session)
    await page.send(type="webrtc_offer", transport="publish", sdp="x", tracks=[{"mid": "0", "kind": "camera"}])
    await page.expect("webrtc_answer")
    answer = await control.call("GET", control.operators_url + "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    samples = {
        (sample.name, sample.labels.get("event", "")): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert samples[("stemroom_rooms", "")] == 1
    assert samples[("stemroom_participants_connected", "")] == 1
    assert samples[("stemroom_received_bps", "")] == 1000
    assert samples[("stemroom_sent_bps", "")] == 500
    assert 'stemroom_subscriptions{reason="network"} 1.0' in answer.body.decode()
    assert 'stemroom_subscriptions{reason="hidden"} 0.0' in answer.body.decode()
    assert 'stemroom_estimates{bound="loss"} 1.0' in answer.body.decode()
    assert samples[("stemroom_media_events_total", "datagrams_received")] == 7
    assert samples[("stemroom_control_events_total", "joins")] == 1
    assert samples[("stemroom_spool_bytes_written_total", "")] == 11
    assert samples[("stemroom_spool_oldest_unsynced_s", "")] == 0.5
    await page.socket.close()


async def test_what_a_page_reports_is_shown_and_counted(control: Control) -> None:
    session = await control.create()
    page, joined = await control.arrive(session)
    quiet, quiet_joined = await control.arrive(session, "Quiet")
    camera = {"kind": "camera", "bitrate_bps": 1_500_000, "height": 720, "limited_by": "cpu"}
    path = {"candidate": "relay", "protocol": "tcp", "rtt_ms": 80.0}
    figures = {"sent": [camera], "publish": path, "subscribe": path}
    await page.send(type="page_report", figures=figures, errors={"script": 3})
    await page.send(type="page_report", figures=figures, errors={"no such error": 3})
    assert (await page.expect("error"))["id"] == "bad_message"
    stats = await control.call("GET", control.operators_url + f"/api/v1/rooms/{session['session_id']}/stats")
    shown = stats.json["pages"][joined["participant_id"]]
    assert shown["figures"]["sent"][0]["limited_by"] == "cpu"
    assert shown["figures"]["publish"]["candidate"] == "relay"
    assert shown["errors"] == {"script": 3}
    assert 0 <= shown["age_s"] < 60
    assert stats.json["pages"][quiet_joined["participant_id"]] == {"age_s": None, "figures": None, "errors": {}}
    metrics = (await control.call("GET", control.operators_url + "/metrics")).body.decode()
    assert 'stemroom_control_events_total{event="page_error_script"} 3.0' in metrics
    assert 'stemroom_control_events_total{event="page_reports"} 1.0' in metrics
    assert 'stemroom_pictures_sent{limited_by="cpu"} 1.0' in metrics
    assert 'stemroom_paths{candidate="relay",protocol="tcp"} 2.0' in metrics
    for _ in range(10):
        await page.send(type="page_report", figures={}, errors={})
    await page.send(type="clock", page_ms=1)
    await page.expect("clock")
    assert control.studio.counters["page_reports_too_many"] >= 6
    assert len([message for message in page.seen if message["type"] == "error"]) == 1
    await page.socket.close()
    await quiet.socket.close()


async def test_health_turns_bad_while_recordings_are_at_risk(control: Control) -> None:
    url = control.operators_url + "/healthz"
    assert (await control.call("GET", url)).json == {"status": "ok", "alarms": []}
    control.spool.alarm = "cannot write journals"
    answer = await control.call("GET", url)
    assert (answer.status, answer.json["alarms"]) == (503, ["cannot write journals"])


async def test_how_the_recorder_is_is_shown_and_files_that_are_late_are_an_alarm(control: Control) -> None:
    said = Health(lag_s=12.4, tracks=3, upload_backlog_bytes=1000, upload_errors=2)
    control.studio.recorder.hear(encode(said), 0.0)
    metrics = (await control.call("GET", control.operators_url + "/metrics")).body.decode()
    assert "stemroom_recorder_lag_seconds 12.4" in metrics
    assert "stemroom_recorder_tracks 3.0" in metrics
    assert "stemroom_upload_backlog_bytes 1000.0" in metrics
    assert "stemroom_upload_errors_total 2.0" in metrics
    answer = await control.call("GET", control.operators_url + "/healthz")
    assert (answer.status, answer.json["alarms"]) == (503, ["the recorder is 12 s behind: files are late"])


async def test_unknown_paths_are_problems(control: Control) -> None:
    assert (await control.call("GET", control.operators_url + "/createsession")).problem() == "not_found"
