"""Every method of the catalog on a real SQLite file: what is written is read back, and repeating it changes nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, StatementError

from storage.catalog import RECORDING_STATE_FROM, Catalog, CatalogConflict
from storage.database import Database, sqlite_url
from storage.models import Chunk, OffRecord, Participant, Recording, Redaction, Segment, Session, Take

NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    """With one session `s_1`, its participants `p_1` and `p_2`, and a recording `r_1` of it."""
    database = Database(sqlite_url(tmp_path / "catalog.sqlite"))
    await database.migrate()
    made = Catalog(database)
    await made.create_session(session("s_1"))
    await made.add_participant(participant("p_1"))
    await made.add_participant(participant("p_2", joined_at=NOW + timedelta(seconds=1)))
    await made.create_recording(recording("r_1"))
    yield made
    await database.close()


def session(id: str) -> Session:
    return Session(
        id=id,
        title="Zoë & friends",
        host_secret_hash="h" * 64,
        max_participants=10,
        created_at=NOW,
        clock_zero_wall_ns=2**62 + 1,
        clock_zero_monotonic_ns=1,
        clock_boot_id="boot",
    )


def participant(id: str, session_id: str = "s_1", joined_at: datetime = NOW) -> Participant:
    return Participant(
        id=id, session_id=session_id, display_name="Zoë", role="guest", token_hash=f"token of {id}", joined_at=joined_at
    )


def recording(id: str, session_id: str = "s_1", started_ns: int = 5) -> Recording:
    return Recording(id=id, session_id=session_id, state="recording", started_at=NOW, started_ns=started_ns)


def take(id: str, kind: str = "camera", slot: int = 0, participant_id: str = "p_1", recording_id: str = "r_1") -> Take:
    return Take(id=id, recording_id=recording_id, participant_id=participant_id, kind=kind, slot=slot)


def segment(id: str, take_id: str = "t_1", copy: str = "local", state: str = "capturing", **more: object) -> Segment:
    return Segment(id=id, take_id=take_id, copy=copy, state=state, **more)


def chunk(index: int, sha256: str = "a" * 64, size_bytes: int = 7) -> Chunk:
    key = f"chunks/{index:06}"
    return Chunk(
        segment_id="g_1", index=index, size_bytes=size_bytes, sha256=sha256, object_key=key, end_ms=index + 0.25
    )


async def test_a_session_is_read_back_to_the_nanosecond(catalog: Catalog) -> None:
    found = await catalog.session("s_1")
    assert found is not None
    assert (found.title, found.max_participants, found.clock_zero_wall_ns) == ("Zoë & friends", 10, 2**62 + 1)
    assert found.created_at == NOW
    assert found.created_at.tzinfo is UTC
    assert await catalog.session("s_2") is None


async def test_times_keep_their_moment_whatever_their_zone(catalog: Catalog) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-8)))
    await catalog.add_participant(participant("p_3", joined_at=there))
    found = await catalog.participant("p_3")
    assert found is not None
    assert found.joined_at == NOW


async def test_a_time_without_zone_is_a_mistake(catalog: Catalog) -> None:
    with pytest.raises(StatementError, match="without time zone"):
        await catalog.add_participant(participant("p_3", joined_at=datetime(2026, 1, 1)))
    assert await catalog.participant("p_3") is None


async def test_participants_come_in_the_order_of_joining(catalog: Catalog) -> None:
    await catalog.add_participant(participant("p_0", joined_at=NOW + timedelta(seconds=2)))
    assert [row.id for row in await catalog.participants("s_1")] == ["p_1", "p_2", "p_0"]
    assert await catalog.participants("s_2") == []


async def test_a_token_is_good_for_its_session_only(catalog: Catalog) -> None:
    await catalog.create_session(session("s_2"))
    found = await catalog.participant_by_token("s_1", "token of p_2")
    assert found is not None
    assert found.id == "p_2"
    assert await catalog.participant_by_token("s_2", "token of p_2") is None
    assert await catalog.participant_by_token("s_1", "") is None


async def test_the_last_departure_counts(catalog: Catalog) -> None:
    for seconds in (10, 20):
        await catalog.participant_left("p_1", NOW + timedelta(seconds=seconds))
    first, second = await catalog.participants("s_1")
    assert (first.left_at, second.left_at) == (NOW + timedelta(seconds=20), None)


async def test_a_row_of_nobody_is_refused_by_the_database(catalog: Catalog) -> None:
    with pytest.raises(IntegrityError):
        await catalog.add_participant(participant("p_3", session_id="s_unknown"))
    with pytest.raises(IntegrityError):
        await catalog.upsert_segment(segment("g_1", take_id="t_unknown"))


async def test_a_word_that_is_no_state_is_refused_by_the_database(catalog: Catalog) -> None:
    row = recording("r_2")
    row.state = "paused"
    with pytest.raises(IntegrityError, match="ck_recording_state"):
        await catalog.create_recording(row)


async def test_recordings_come_in_the_order_of_starting(catalog: Catalog) -> None:
    await catalog.create_recording(recording("r_0", started_ns=6))
    assert [row.id for row in await catalog.recordings("s_1")] == ["r_1", "r_0"]


async def test_the_start_of_a_recording_is_put_right_only_while_it_runs(catalog: Catalog) -> None:
    await catalog.recording_began("r_1", 9)
    await catalog.stop_recording("r_1", 100)
    await catalog.recording_began("r_1", 50)
    found = await catalog.recording("r_1")
    assert found is not None
    assert found.started_ns == 9


async def test_a_recording_is_stopped_once(catalog: Catalog) -> None:
    assert [row.id for row in await catalog.open_recordings()] == ["r_1"]
    assert await catalog.stop_recording("r_1", 100)
    assert not await catalog.stop_recording("r_1", 200)
    assert not await catalog.stop_recording("r_unknown", 200)
    found = await catalog.recording("r_1")
    assert found is not None
    assert (found.state, found.stopped_ns) == ("finishing", 100)
    assert await catalog.open_recordings() == []


async def test_a_stop_after_the_recorder_finished_keeps_the_state(catalog: Catalog) -> None:
    """The recorder process may be done before the node has written that it stopped."""
    assert await catalog.set_recording_state("r_1", "finished")
    assert await catalog.stop_recording("r_1", 100)
    found = await catalog.recording("r_1")
    assert found is not None
    assert (found.state, found.stopped_ns) == ("finished", 100)


@pytest.mark.parametrize("before", ["recording", "finishing", "finished", "failed"])
@pytest.mark.parametrize("after", ["finishing", "finished", "failed"])
async def test_a_recording_moves_only_as_the_table_allows(catalog: Catalog, before: str, after: str) -> None:
    row = recording("r_2")
    row.state = before
    await catalog.create_recording(row)
    allowed = before in RECORDING_STATE_FROM[after]
    assert await catalog.set_recording_state("r_2", after) == allowed
    found = await catalog.recording("r_2")
    assert found is not None
    assert found.state == (after if allowed else before)


async def test_a_recording_cannot_begin_again(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="'recording'"):
        await catalog.set_recording_state("r_1", "recording")


async def test_one_source_is_one_take_however_often_it_is_added(catalog: Catalog) -> None:
    for _ in range(2):
        assert (await catalog.add_take(take("t_1"))).id == "t_1"
    assert (await catalog.add_take(take("t_other_id"))).id == "t_1"
    assert [row.id for row in await catalog.takes("r_1")] == ["t_1"]


async def test_an_id_of_another_source_is_a_conflict(catalog: Catalog) -> None:
    await catalog.add_take(take("t_1"))
    with pytest.raises(CatalogConflict):
        await catalog.add_take(take("t_1", kind="microphone"))


async def test_takes_come_by_participant_kind_and_slot(catalog: Catalog) -> None:
    for row in (take("t_1", "microphone"), take("t_2", slot=1), take("t_3"), take("t_4", participant_id="p_2")):
        await catalog.add_take(row)
    assert [row.id for row in await catalog.takes("r_1")] == ["t_3", "t_2", "t_1", "t_4"]


async def test_a_segment_grows_by_what_is_set(catalog: Catalog) -> None:
    await catalog.add_take(take("t_1"))
    await catalog.upsert_segment(segment("g_1", content_type="video/webm", start_ns=2**53 + 1))
    await catalog.upsert_segment(segment("g_1", state="stored", size_bytes=2**40, sha256="b" * 64))
    found = await catalog.segment("g_1")
    assert found is not None
    assert (found.state, found.size_bytes, found.sha256) == ("stored", 2**40, "b" * 64)
    assert (found.content_type, found.start_ns, found.codec) == ("video/webm", 2**53 + 1, "")


async def test_a_segment_that_was_read_may_be_changed_and_written_back(catalog: Catalog) -> None:
    await catalog.add_take(take("t_1"))
    await catalog.upsert_segment(segment("g_1"))
    found = await catalog.segment("g_1")
    assert found is not None
    found.state, found.problem = "failed", "no key frame"
    await catalog.upsert_segment(found)
    again = await catalog.segment("g_1")
    assert again is not None
    assert (again.state, again.problem, again.copy) == ("failed", "no key frame", "local")


async def test_segments_of_a_recording_come_by_take_copy_and_time(catalog: Catalog) -> None:
    await catalog.create_recording(recording("r_2"))
    for row in (take("t_1"), take("t_2", "microphone"), take("t_9", recording_id="r_2")):
        await catalog.add_take(row)
    for new in (
        segment("g_1", "t_2"),
        segment("g_2", "t_1", "server", start_ns=2),
        segment("g_3", "t_1", "server", start_ns=1),
        segment("g_4", "t_1"),
        segment("g_9", "t_9"),
    ):
        await catalog.upsert_segment(new)
    assert [row.id for row in await catalog.segments("r_1")] == ["g_4", "g_3", "g_2", "g_1"]


async def test_a_chunk_may_be_confirmed_again_with_the_same_content_only(catalog: Catalog) -> None:
    await catalog.add_take(take("t_1"))
    await catalog.upsert_segment(segment("g_1"))
    for _ in range(2):
        await catalog.add_chunk(chunk(0))
    for other in (chunk(0, sha256="b" * 64), chunk(0, size_bytes=8)):
        with pytest.raises(CatalogConflict):
            await catalog.add_chunk(other)
    (kept,) = await catalog.chunks("g_1")
    assert (kept.index, kept.sha256, kept.size_bytes, kept.end_ms) == (0, "a" * 64, 7, 0.25)


async def test_chunks_come_by_index(catalog: Catalog) -> None:
    await catalog.add_take(take("t_1"))
    await catalog.upsert_segment(segment("g_1"))
    for index in (10, 2, 0):
        await catalog.add_chunk(chunk(index))
    assert [row.index for row in await catalog.chunks("g_1")] == [0, 2, 10]


def off_record(id: str, start_ns: int, recording_id: str = "r_1") -> OffRecord:
    return OffRecord(id=id, recording_id=recording_id, start_ns=start_ns, stop_ns=start_ns + 1, marked_ns=9)


async def test_ranges_off_the_record_are_counted_and_come_in_the_order_of_time(catalog: Catalog) -> None:
    await catalog.create_recording(recording("r_2"))
    for id, start_ns, recording_id in (("o_2", 20, "r_1"), ("o_1", 10, "r_1"), ("o_3", 10, "r_2")):
        assert await catalog.add_off_record(off_record(id, start_ns, recording_id), 2) is not None
    assert await catalog.add_off_record(off_record("o_4", 30), 2) is None
    again = await catalog.add_off_record(off_record("o_5", 20), 2)
    assert again is not None
    assert again.id == "o_2"
    assert [row.id for row in await catalog.off_record("r_1")] == ["o_1", "o_2"]
    for _ in range(2):
        await catalog.delete_off_record("o_1")
    assert [row.id for row in await catalog.off_record("r_1")] == ["o_2"]
    assert [row.id for row in await catalog.off_record("r_2")] == ["o_3"]


async def test_a_segment_has_one_redaction_which_replaces_the_one_before(catalog: Catalog) -> None:
    await catalog.create_recording(recording("r_2"))
    for id, recording_id in (("t_1", "r_1"), ("t_2", "r_2")):
        await catalog.add_take(take(id, recording_id=recording_id))
    for id, take_id in (("g_1", "t_1"), ("g_2", "t_1"), ("g_3", "t_2")):
        await catalog.upsert_segment(segment(id, take_id))

    def redaction(segment_id: str, key: str) -> Redaction:
        return Redaction(segment_id=segment_id, object_key=key, size_bytes=1, sha256="", off_record="o_1", problem="")

    for id, key in (("g_1", "a"), ("g_2", "b"), ("g_3", "c"), ("g_1", "d")):
        await catalog.upsert_redaction(redaction(id, key))
    found = await catalog.redactions("r_1")
    assert {id: row.object_key for id, row in found.items()} == {"g_1": "d", "g_2": "b"}
    for _ in range(2):
        await catalog.delete_redaction("g_1")
    assert list(await catalog.redactions("r_1")) == ["g_2"]


async def test_a_purge_is_noted_once_at_every_range_that_it_is_about(catalog: Catalog) -> None:
    for number, id in enumerate(("o_1", "o_2", "o_3")):
        await catalog.add_off_record(off_record(id, 10 * number), 9)
    await catalog.purge_off_record(["o_1"], "p_1", 50)
    await catalog.purge_off_record(["o_1", "o_3"], None, 60)
    assert [(row.id, row.purged_by, row.purged_ns) for row in await catalog.off_record("r_1")] == [
        ("o_1", "p_1", 50),
        ("o_2", None, None),
        ("o_3", None, 60),
    ]
