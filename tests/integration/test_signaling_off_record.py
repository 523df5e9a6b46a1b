"""Off the record: who may, what is refused, what is kept of it, and that no file that it concerns is given out."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.events import OffRecordMarked, OffRecordUnmarked, Purged, RecordingStopped
from signaling.clock import NS_PER_MS, NS_PER_S, NodeClock
from signaling.off_record import MAX_RANGES
from storage.models import Redaction, Segment
from tests.support.control import Answer, Control, Json, start_control

MINUTE = 60 * NS_PER_S


class LaterClock(NodeClock):
    """The node's, with time that passes when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.passed_ns


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
async def control(tmp_path: Path, clock: LaterClock) -> AsyncIterator[Control]:
    async with start_control(tmp_path, clock=clock) as running:
        yield running


def path_of(session: Json, recording: Json, end: str = "") -> str:
    return f"/api/v1/sessions/{session['session_id']}/recordings/{recording['recording_id']}{end}"


class Minute:
    """A session with a host and a guest, and a recording of it that is one minute old."""

    def __init__(self, control: Control, session: Json, host: Json, guest: Json, recording: Json) -> None:
        self.control, self.session, self.host, self.guest, self.recording = control, session, host, guest, recording
        self.started_ms: float = recording["started_ms"]
        self.secret: str = session["host_secret"]
        (control.spool.folder / recording["recording_id"]).mkdir(parents=True)

    async def mark(self, token: str = "", **wish: Any) -> Answer:
        return await self.control.call(
            "POST", path_of(self.session, self.recording, "/off-record"), wish, token or self.secret
        )

    async def mark_seconds(self, start_s: float, stop_s: float) -> Json:
        """Since the recording began."""
        answer = await self.mark(start_ms=self.started_ms + start_s * 1e3, stop_ms=self.started_ms + stop_s * 1e3)
        assert answer.status == 201, answer.json
        marked: Json = answer.json
        return marked

    async def unmark(self, id: str) -> Answer:
        path = path_of(self.session, self.recording, f"/off-record/{id}")
        return await self.control.call("DELETE", path, token=self.secret)

    async def listed(self) -> list[Json]:
        answer = await self.control.call("GET", path_of(self.session, self.recording, "/off-record"), token=self.secret)
        found: list[Json] = answer.json["off_record"]
        return found

    async def shown(self) -> Json:
        detail: Json = (await self.control.call("GET", path_of(self.session, self.recording), token=self.secret)).json
        return detail

    def marks(self) -> list[OffRecordMarked]:
        """That the journals say."""
        journals = self.control.spool.of(self.recording["recording_id"])
        return [event for journal in journals for event in journal.of(OffRecordMarked)]

    async def redact(
        self, segment_id: str, *ids: str, content: bytes = b"wor..", problem: str = "", whole_gone: bool = False
    ) -> None:
        """As the recorder does it. No `content`: nothing is left, or there is a problem."""
        key = f"{segment_id}/redacted-{len(ids)}.webm" if content else ""
        if key:
            await self.control.studio.store.put(key, content, content_type="audio/webm")
        await self.control.studio.catalog.upsert_redaction(
            Redaction(
                segment_id=segment_id,
                object_key=key,
                size_bytes=len(content),
                sha256="b" * 64,
                off_record=",".join(ids),
                problem=problem,
                whole_gone=whole_gone,
            )
        )

    async def store(self, letter: str, start_s: float, length_s: float, state: str = "stored") -> str:
        """A file of the host's; its id."""
        catalog, ids = self.control.studio.catalog, (self.session["session_id"], self.recording["recording_id"])
        id = f"seg_{letter * 16}"
        key = f"sessions/{ids[0]}/recordings/{ids[1]}/server/{id}.webm"
        await self.control.studio.store.put(key, b"words", content_type="audio/webm")
        [take] = await catalog.takes(ids[1])
        await catalog.upsert_segment(
            Segment(
                id=id,
                take_id=take.id,
                copy="server",
                state=state,
                object_key=key,
                size_bytes=5,
                sha256="a" * 64,
                start_ns=round(self.started_ms * NS_PER_MS + start_s * NS_PER_S),
                start_bound_ns=50 * NS_PER_MS,
                duration_ns=round(length_s * NS_PER_S),
            )
        )
        return id


@pytest.fixture
async def minute(control: Control, clock: LaterClock) -> AsyncIterator[Minute]:
    session = await control.create()
    guest = await control.join(session)
    page, host = await control.arrive(session, "Zoë", host=True)
    recording = await control.record(session)
    await page.send(type="webrtc_offer", transport="publish", sdp="offer", tracks=[{"mid": "0", "kind": "microphone"}])
    await page.expect("webrtc_answer")
    control.peer(session, host).hear("0")
    clock.passed_ns += MINUTE
    await control.studio.queue.add("nothing", lambda: control.studio.catalog.takes(recording["recording_id"]))
    yield Minute(control, session, host, guest, recording)
    await page.socket.close()


# --- who may


async def test_only_hosts_take_off_the_record_see_it_and_put_it_back(control: Control, minute: Minute) -> None:
    foreign = await control.create()
    id = (await minute.mark(last_s=5)).json["off_record_id"]
    for method, end, body in (
        ("POST", "/off-record", {"last_s": 5}),
        ("GET", "/off-record", None),
        ("DELETE", f"/off-record/{id}", None),
        ("POST", "/purge", {"confirm": minute.recording["recording_id"]}),
    ):
        for token, status, problem in (
            ("", 401, "unauthorized"),
            (foreign["host_secret"], 401, "unauthorized"),
            (minute.guest["token"], 403, "forbidden"),
        ):
            answer = await control.call(method, path_of(minute.session, minute.recording, end), body, token)
            assert (answer.status, answer.problem()) == (status, problem)
        unknown = {"recording_id": "rec_aaaaaaaaaaaaaaaa"}
        answer = await control.call(method, path_of(minute.session, unknown, end), body, minute.secret)
        assert answer.problem() == "unknown_recording"
    assert len(await minute.listed()) == len(minute.marks()) == 1


async def test_who_marked_it_is_kept_in_the_row_and_in_the_journal(minute: Minute) -> None:
    by_host = (await minute.mark(minute.host["token"], last_s=5)).json
    by_link = (await minute.mark(last_s=7)).json
    assert (by_host["marked_by"], by_link["marked_by"]) == (minute.host["participant_id"], None)
    assert {mark.off_record_id: mark.marked_by for mark in minute.marks()} == {
        by_host["off_record_id"]: minute.host["participant_id"],
        by_link["off_record_id"]: "",
    }
    assert [one["marked_by"] for one in await minute.listed()] == [None, minute.host["participant_id"]]


# --- which range


async def test_the_last_seconds_end_now(minute: Minute) -> None:
    marked = (await minute.mark(last_s=30)).json
    assert marked["stop_ms"] == marked["marked_ms"]
    assert marked["stop_ms"] - marked["start_ms"] == pytest.approx(30_000)
    assert marked["stop_ms"] - minute.started_ms == pytest.approx(60_000, abs=5_000)
    [event] = minute.marks()
    assert (event.start_ns, event.stop_ns) == (
        round(marked["start_ms"] * NS_PER_MS),
        round(marked["stop_ms"] * NS_PER_MS),
    )


async def test_what_is_not_said_yet_cannot_be_marked(minute: Minute) -> None:
    marked = await minute.mark_seconds(50, 4_000)
    assert marked["stop_ms"] == marked["marked_ms"]
    answer = await minute.mark(start_ms=minute.started_ms + 120_000, stop_ms=minute.started_ms + 130_000)
    assert (answer.status, answer.problem()) == (422, "off_record_outside")


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({}, "bad_request"),
        ({"start_ms": 1}, "bad_request"),
        ({"stop_ms": 1}, "bad_request"),
        ({"start_ms": 1, "stop_ms": 2, "last_s": 3}, "bad_request"),
        ({"start_ms": 1, "last_s": 3}, "bad_request"),
        ({"last_s": 0.5}, "bad_request"),
        ({"last_s": 86_401}, "bad_request"),
        ({"last_s": "5"}, "bad_request"),
        ({"start_ms": -1, "stop_ms": 2}, "bad_request"),
        ({"start_ms": 1, "stop_ms": 1e13}, "bad_request"),
        ({"last_s": 5, "why": "private"}, "bad_request"),
        ({"start_ms": 0, "stop_ms": 0.001}, "off_record_outside"),
        ({"start_ms": 50_000, "stop_ms": 50_000}, "off_record_outside"),
        ({"start_ms": 50_000, "stop_ms": 40_000}, "off_record_outside"),
    ],
)
async def test_a_range_that_means_nothing_is_refused_and_holds_nothing_back(
    minute: Minute, wish: Json, problem: str
) -> None:
    assert (await minute.mark(**wish)).problem() == problem
    assert await minute.listed() == []
    assert minute.marks() == []


async def test_the_number_of_ranges_is_bounded(minute: Minute) -> None:
    marked = [await minute.mark_seconds(n / 10, n / 10 + 0.05) for n in range(MAX_RANGES)]
    answer = await minute.mark(last_s=5)
    assert (answer.status, answer.problem()) == (409, "too_many_off_record")
    assert (await minute.mark_seconds(0, 0.05))["off_record_id"] == marked[0]["off_record_id"], "it is there already"
    assert (await minute.unmark(marked[3]["off_record_id"])).status == 200
    assert (await minute.mark(last_s=5)).status == 201


# --- during the recording and after it


async def test_a_stopped_recording_says_it_in_a_journal_of_its_own_that_is_closed_again(
    control: Control, minute: Minute, clock: LaterClock
) -> None:
    await control.stop(minute.session, minute.recording)
    clock.passed_ns += MINUTE
    marked = await minute.mark_seconds(10, 20)
    first, late = control.spool.of(minute.recording["recording_id"])
    assert first.of(OffRecordMarked) == []
    assert [event.off_record_id for event in late.of(OffRecordMarked)] == [marked["off_record_id"]]
    assert late.of(RecordingStopped)
    assert late.closed
    answer = await minute.mark(last_s=5)
    assert answer.problem() == "off_record_outside", "nothing was recorded then"
    assert (await minute.mark(last_s=90)).status == 201


async def test_without_journals_nothing_is_written_that_would_replace_the_manifest(
    control: Control, minute: Minute
) -> None:
    id = (await minute.mark_seconds(1, 2))["off_record_id"]
    await control.stop(minute.session, minute.recording)
    (control.spool.folder / minute.recording["recording_id"]).rmdir()
    journals = len(control.spool.of(minute.recording["recording_id"]))
    for answer in (await minute.mark(last_s=30), await minute.unmark(id)):
        assert (answer.status, answer.problem()) == (409, "journals_gone")
    assert len(control.spool.of(minute.recording["recording_id"])) == journals
    assert [one["off_record_id"] for one in await minute.listed()] == [id]


async def test_a_disk_that_fails_holds_it_back_all_the_same_and_the_same_range_can_be_marked_again(
    control: Control, minute: Minute
) -> None:
    control.spool.broken = True
    wish = {"start_ms": minute.started_ms + 1_000, "stop_ms": minute.started_ms + 2_000}
    answer = await minute.mark(**wish)
    assert (answer.status, answer.problem()) == (503, "spool_unavailable")
    segment = await minute.store("a", 0, 10)
    assert segment in held_back(await minute.shown())
    assert minute.marks() == []
    control.spool.broken = False
    again = await minute.mark(**wish)
    assert again.status == 201
    assert [mark.off_record_id for mark in minute.marks()] == [again.json["off_record_id"]]
    assert len(await minute.listed()) == 1


async def test_it_can_be_put_back(minute: Minute) -> None:
    segment = await minute.store("a", 0, 10)
    one, other = await minute.mark_seconds(1, 2), await minute.mark_seconds(3, 4)
    answer = await minute.unmark(one["off_record_id"])
    assert (answer.status, answer.json) == (200, {"off_record": [other]})
    assert held_back(await minute.shown()) == {segment}
    assert (await minute.unmark(other["off_record_id"])).json == {"off_record": []}
    assert held_back(await minute.shown()) == set()
    journals = minute.control.spool.of(minute.recording["recording_id"])
    assert [event.off_record_id for journal in journals for event in journal.of(OffRecordUnmarked)] == [
        one["off_record_id"],
        other["off_record_id"],
    ]
    for id in (one["off_record_id"], "off_aaaaaaaaaaaaaaaa", "x"):
        answer = await minute.unmark(id)
        assert (answer.status, answer.problem()) == (404, "unknown_off_record")


# --- what is held back


def segments(detail: Json) -> dict[str, Json]:
    return {one["segment_id"]: one for take in detail["takes"] for one in take["segments"]}


def held_back(detail: Json) -> set[str]:
    """Segments without a URL."""
    for one in segments(detail).values():
        assert (one["play_url"] is None) == (one["download_url"] is None)
    return {id for id, one in segments(detail).items() if one["play_url"] is None}


async def test_no_file_that_it_concerns_is_given_out_and_every_other_is(minute: Minute) -> None:
    before = await minute.store("a", 0, 9)
    inside = await minute.store("b", 10, 30)
    touching = await minute.store("c", 0, 20)
    after = await minute.store("d", 31, 20)
    growing = await minute.store("e", 2, 0, state="finishing")
    marked = await minute.mark_seconds(20.1, 30)
    detail = await minute.shown()
    assert held_back(detail) == {inside, touching, growing}
    assert detail["off_record"] == [marked]
    for id, one in segments(detail).items():
        assert one["off_record"] == ("" if id in (before, after) else "pending")
        assert (one["sha256"], one["size_bytes"]) == (("a" * 64, 5) if id in (before, after) else ("", 0))


async def test_the_file_without_it_is_given_out_in_the_place_of_the_whole_one(control: Control, minute: Minute) -> None:
    segment = await minute.store("a", 0, 40)
    marked = await minute.mark_seconds(10, 20)
    await minute.redact(segment, marked["off_record_id"])
    shown = segments(await minute.shown())[segment]
    assert (shown["off_record"], shown["sha256"], shown["size_bytes"]) == ("redacted", "b" * 64, 5)
    assert shown["file_name"] == "zoe-microphone-server-redacted.webm"
    for url in (shown["play_url"], shown["download_url"]):
        assert (await control.call("GET", url)).body == b"wor.."


async def test_a_file_that_lacks_less_than_is_off_the_record_now_is_held_back(minute: Minute) -> None:
    segment = await minute.store("a", 0, 40)
    one, other = await minute.mark_seconds(10, 11), await minute.mark_seconds(20, 21)
    beside = await minute.mark_seconds(50, 51)
    for ids, held in (
        ((one,), {segment}),
        ((other, beside), {segment}),
        ((one, other), set()),
        ((beside, other, one), set()),
    ):
        await minute.redact(segment, *(mark["off_record_id"] for mark in ids))
        assert held_back(await minute.shown()) == held
    await minute.unmark(one["off_record_id"])
    assert segments(await minute.shown())[segment]["off_record"] == "redacted", "it lacks more than it must"
    await minute.unmark(other["off_record_id"])
    shown = segments(await minute.shown())[segment]
    assert (shown["off_record"], shown["sha256"]) == ("", "a" * 64)


async def test_where_nothing_is_left_or_none_could_be_made_nothing_is_given_out(minute: Minute) -> None:
    segment = await minute.store("a", 0, 40)
    id = (await minute.mark_seconds(10, 11))["off_record_id"]
    for problem in ("", "the file cannot be read"):
        await minute.redact(segment, id, content=b"", problem=problem)
        shown = segments(await minute.shown())[segment]
        assert (shown["off_record"], shown["problem"]) == ("redacted", problem)
        assert held_back(await minute.shown()) == {segment}


# --- purge


async def purge(minute: Minute, token: str = "", **wish: Any) -> Answer:
    wish = wish or {"confirm": minute.recording["recording_id"]}
    return await minute.control.call(
        "POST", path_of(minute.session, minute.recording, "/purge"), wish, token or minute.secret
    )


def purges(minute: Minute) -> list[Purged]:
    journals = minute.control.spool.of(minute.recording["recording_id"])
    return [event for journal in journals for event in journal.of(Purged)]


async def finish(minute: Minute) -> None:
    """As the recorder does it when all files are there."""
    await minute.control.stop(minute.session, minute.recording)
    await minute.control.studio.catalog.set_recording_state(minute.recording["recording_id"], "finished")


async def test_a_purge_is_written_down_for_the_recorder_and_cannot_be_taken_back(minute: Minute) -> None:
    segment = await minute.store("a", 0, 40)
    id = (await minute.mark_seconds(10, 20))["off_record_id"]
    await finish(minute)
    assert [one["state"] for one in await minute.listed()] == ["marked"]
    await minute.redact(segment, id)
    assert [one["state"] for one in await minute.listed()] == ["redacted"]
    answer = await purge(minute, minute.host["token"])
    assert (answer.status, [one["state"] for one in answer.json["off_record"]]) == (200, ["purging"])
    [event] = purges(minute)
    assert (event.off_record_ids, event.purged_by) == ([id], minute.host["participant_id"])
    answer = await minute.unmark(id)
    assert (answer.status, answer.problem()) == (409, "already_purged")
    await minute.redact(segment, id, whole_gone=True)
    assert [one["state"] for one in (await minute.shown())["off_record"]] == ["purged"]
    assert segments(await minute.shown())[segment]["sha256"] == "b" * 64
    assert (await purge(minute)).status == 200, "asking again changes nothing"
    assert [(one.off_record_ids, one.purged_by) for one in purges(minute)[1:]] == [([id], "")]
    assert (await minute.mark_seconds(30, 31))["state"] == "marked"


async def test_nothing_is_purged_before_there_is_a_file_without_it_of_everything(minute: Minute) -> None:
    first, second = await minute.store("a", 0, 40), await minute.store("b", 5, 40)
    far = await minute.store("c", 50, 5)
    await minute.store("d", 0, 0, state="failed")
    assert (await purge(minute)).problem() == "nothing_off_record"
    id = (await minute.mark_seconds(10, 20))["off_record_id"]
    await minute.redact(first, id)
    await minute.redact(second, id)
    assert (await purge(minute)).problem() == "redaction_pending", "it is not finished"
    await finish(minute)
    for content, problem in ((b"wor..", "broken"), (b"", "broken")):
        await minute.redact(second, id, content=content, problem=problem)
        answer = await purge(minute)
        assert (answer.status, answer.problem(), answer.json["segments"]) == (409, "redaction_pending", [second])
    await minute.redact(second, id, content=b"")
    assert purges(minute) == []
    assert (await purge(minute)).status == 200
    assert segments(await minute.shown())[far]["off_record"] == ""


@pytest.mark.parametrize("wish", [{"confirm": "rec_aaaaaaaaaaaaaaaa"}, {"confirm": ""}, {"confirm": None}, {"x": 1}])
async def test_a_purge_must_name_the_recording(minute: Minute, wish: Json) -> None:
    await minute.mark_seconds(10, 20)
    await finish(minute)
    answer = await purge(minute, **wish)
    assert (answer.status, answer.problem()) == (400, "bad_request")
    assert purges(minute) == []


async def test_a_local_copy_that_did_not_come_whole_is_given_up(control: Control, minute: Minute) -> None:
    path = path_of(minute.session, minute.recording, "/captures")
    wish = {"kind": "microphone", "content_type": "audio/webm", "start_ms": minute.started_ms, "bound_ms": 1}
    opened = await control.call("POST", path, wish, minute.host["token"])
    assert opened.status == 201, opened.json
    await minute.mark_seconds(10, 20)
    await finish(minute)
    assert (await purge(minute)).status == 200
    chunk = await control.call(
        "POST",
        f"{path}/{opened.json['segment_id']}/chunks/0",
        {"size_bytes": 5, "sha256": "a" * 64},
        minute.host["token"],
    )
    assert (chunk.status, chunk.problem()) == (409, "chunk_refused")
    shown = segments(await minute.shown())[opened.json["segment_id"]]
    assert (shown["state"], shown["problem"]) == ("failed", "purged before it was whole")
