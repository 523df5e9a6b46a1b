"""URLs of what is still recorded: for hosts, for one snapshot, for as long as they live, and with ranges."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.journal import Record, encode_head, track_name
from storage.models import Segment
from tests.support.control import Control, Json, start_control
from tests.support.encoded import opus_packets
from tests.support.files import inspect
from tests.support.journals import EPOCH, audio_packets, file_header, pipeline, track_header

SEGMENT = "seg_aaaaaaaaaaaaaaaa"
PACKETS: list[Record] = list[Record](audio_packets(opus_packets(500)))


class Running:
    """A recording with one microphone, whose file the test makes."""

    def __init__(self, control: Control, folder: Path, session: Json, recording: Json, take_id: str) -> None:
        self.control = control
        self.session = session
        self.recording_id: str = recording["recording_id"]
        self.take_id = take_id
        spool, self.work = folder / "spool" / self.recording_id, folder / "work" / self.recording_id
        for made in (spool, self.work):
            made.mkdir(parents=True)
        track = track_header("opus", recording_id=self.recording_id, take_id=take_id)
        (spool / track_name(SEGMENT, EPOCH)).write_bytes(encode_head(file_header(track)))
        self.file = pipeline("opus", self.work)

    async def shown(self) -> Json:
        path = f"/api/v1/sessions/{self.session['session_id']}/recordings/{self.recording_id}"
        answer = await self.control.call("GET", path, token=self.session["host_secret"])
        assert answer.status == 200
        [take] = answer.json["takes"]
        [segment] = take["segments"]
        assert take["take_id"] == self.take_id
        found: Json = segment
        return found


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with start_control(tmp_path) as control:
        session = await control.create()
        page, joined = await control.arrive(session, "Zoë")
        recording = await control.record(session)
        await page.send(
            type="webrtc_offer", transport="publish", sdp="offer", tracks=[{"mid": "0", "kind": "microphone"}]
        )
        await page.expect("webrtc_answer")
        control.peer(session, joined).hear("0")
        take_id = next(iter(control.spool.of(recording["recording_id"])[0].taps)).header.take_id
        await control.stop(session, recording)  # the take's row is written by then
        yield Running(control, tmp_path, session, recording, take_id)
        await page.socket.close()


async def test_a_running_segment_plays_and_downloads_what_is_finished_of_it(running: Running, tmp_path: Path) -> None:
    running.file.feed(PACKETS[:80])
    early = await running.shown()
    assert (early["state"], early["copy"], early["codec"]) == ("capturing", "server", "opus")
    assert (early["play_url"], early["download_url"], early["duration_ns"]) == (None, None, 0)
    running.file.feed(PACKETS[80:300])
    segment = await running.shown()
    assert segment["file_name"] == "zoe-microphone-server.webm"
    played = await running.control.call("GET", segment["play_url"])
    assert (played.status, len(played.body)) == (200, segment["size_bytes"])
    assert "Content-Disposition" not in played.headers
    (tmp_path / "so_far.webm").write_bytes(played.body)
    report = inspect(tmp_path / "so_far.webm")
    assert report.sound
    assert report.duration_s == pytest.approx(segment["duration_ns"] / 1e9, abs=0.001)
    assert segment["duration_ns"] > 3e9
    downloaded = await running.control.call("GET", segment["download_url"])
    assert downloaded.body == played.body
    assert "zoe-microphone-server-so-far.webm" in downloaded.headers["Content-Disposition"]

    running.file.feed(PACKETS[300:])
    more = await running.shown()
    assert more["duration_ns"] > segment["duration_ns"] + 2e9
    assert (await running.control.call("GET", segment["play_url"])).body == played.body
    later = await running.control.call("GET", more["play_url"])
    assert later.body[-len(played.body) // 2 :] != played.body[-len(played.body) // 2 :]
    assert later.body.endswith(running.file.path.read_bytes()[more["size_bytes"] - 1000 : more["size_bytes"]])


async def test_ranges_of_a_snapshot_are_those_of_one_file(running: Running) -> None:
    running.file.feed(PACKETS)
    url = (await running.shown())["play_url"]

    async def get(**headers: str) -> Any:
        return await running.control.call("GET", url, headers={k.replace("_", "-"): v for k, v in headers.items()})

    whole = await get()
    size = len(whole.body)
    border = whole.body.index(bytes.fromhex("1f43b675"))  # of the head, which is made, and the first cluster
    for asked, expected in (
        ("bytes=0-", whole.body),
        ("bytes=0-99", whole.body[:100]),
        (f"bytes={size - 10}-", whole.body[-10:]),
        ("bytes=-7", whole.body[-7:]),
        (f"bytes={border - 5_000}-{border + 5_000}", whole.body[border - 5_000 : border + 5_001]),
    ):
        part = await get(Range=asked)
        assert (part.status, part.body) == (206, expected), asked
        at = whole.body.index(expected)
        assert part.headers["Content-Range"] == f"bytes {at}-{at + len(expected) - 1}/{size}"
        assert part.headers["ETag"] == whole.headers["ETag"]
    beyond = await get(Range=f"bytes={size}-")
    assert (beyond.status, beyond.problem()) == (416, "range_not_satisfiable")
    assert (await get(Range="bytes=0-9", If_Range=whole.headers["ETag"])).status == 206
    assert (await get(Range="bytes=0-9", If_Range='"another"')).body == whole.body


async def test_a_url_is_good_for_its_snapshot_alone(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.file.feed(PACKETS)
    url = (await running.shown())["play_url"]
    other = SEGMENT.replace("a", "b")
    longer = re.sub(r"size=\d+", "size=70000", url)
    for wrong in (
        url.replace(SEGMENT, other),
        url.replace("signature=", "signature=0"),
        url.replace("expires=1", "expires=2"),
        longer,
        url.split("?")[0],
        url.replace("/live/", "/live/..%2F"),
        url.replace("/live/", "/objects/"),
    ):
        answer = await running.control.call("GET", wrong)
        assert (answer.status, answer.problem()) == (403, "url_refused"), wrong
    assert (await running.control.call("GET", url)).status == 200
    assert (await running.control.call("POST", url)).status == 405
    now = time.time()
    monkeypatch.setattr("signaling.live_api.time.time", lambda: now + 301)
    expired = await running.control.call("GET", url)
    assert (expired.status, expired.problem()) == (403, "url_refused")


async def test_a_file_that_waits_for_the_store_plays_and_one_that_is_there_is_had_from_there(running: Running) -> None:
    running.file.feed(PACKETS)
    running.file.finish()
    row = {"id": SEGMENT, "take_id": running.take_id, "copy": "server", "codec": "opus", "content_type": "audio/webm"}
    catalog = running.control.studio.catalog
    await catalog.upsert_segment(Segment(**row, state="finishing", start_ns=5, duration_ns=9))
    waiting = await running.shown()
    assert (waiting["state"], waiting["start_ns"]) == ("finishing", 5)
    assert (await running.control.call("GET", waiting["play_url"])).status == 200
    key = "sessions/x/server/file.webm"
    await running.control.studio.store.put(key, b"whole", content_type="audio/webm")
    await catalog.upsert_segment(Segment(**row, state="stored", object_key=key, size_bytes=5))
    stored = await running.shown()
    assert stored["size_bytes"] == 5
    assert (await running.control.call("GET", stored["play_url"])).body == b"whole"
    running.file.path.unlink()
    gone = await running.control.call("GET", waiting["play_url"])
    assert (gone.status, gone.problem()) == (404, "unknown_object")


async def test_a_file_that_is_cut_off_breaks_the_connection_and_never_looks_whole(running: Running) -> None:
    running.file.feed(PACKETS)
    segment = await running.shown()
    data = running.file.path.read_bytes()
    running.file.abandon()
    running.file.path.write_bytes(data[: segment["size_bytes"] - 1000])
    answer = await running.control.call("GET", segment["play_url"])
    assert (answer.status, answer.problem()) == (404, "unknown_object")
    shorter = await running.shown()
    assert 0 < shorter["size_bytes"] < segment["size_bytes"]


async def test_what_may_hold_something_off_the_record_is_not_given_out_while_it_runs(running: Running) -> None:
    running.file.feed(PACKETS)
    before = (await running.shown())["play_url"]
    assert (await running.control.call("GET", before)).status == 200
    path = f"/api/v1/sessions/{running.session['session_id']}/recordings/{running.recording_id}/off-record"
    secret = running.session["host_secret"]
    marked = await running.control.call("POST", path, {"last_s": 60}, secret)
    assert marked.status == 201, marked.json
    held = await running.shown()
    assert (held["state"], held["off_record"]) == ("capturing", "pending")
    assert (held["play_url"], held["download_url"], held["size_bytes"]) == (None, None, 0)
    answer = await running.control.call("GET", before)
    assert (answer.status, answer.problem()) == (404, "unknown_object"), "a URL that was given out before"
    back = await running.control.call("DELETE", f"{path}/{marked.json['off_record_id']}", token=secret)
    assert back.status == 200, back.json
    assert (await running.shown())["play_url"]
