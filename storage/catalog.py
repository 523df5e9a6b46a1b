"""Every query of the program, one method each, one short transaction each.

Rows come back detached (plain objects, no lazy loading); lists are in a fixed order. What a node repeats after
a crash (`add_take`, `add_chunk`, `upsert_segment`, `stop_recording`) may be repeated. States only move forward.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, delete, func, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import Database
from storage.models import Base, Chunk, OffRecord, Participant, Recording, Redaction, Segment, Session, Take

Row = TypeVar("Row", bound=Base)

RECORDING_STATE_FROM = {
    "finishing": ("recording",),
    "finished": ("recording", "finishing", "failed"),
    "failed": ("recording", "finishing"),
}
"""New state -> states it may be reached from. `failed` may be repaired; `finished` is final."""


class CatalogConflict(Exception):
    """Something else is recorded under this name; nothing was changed."""


class Catalog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert

    async def create_session(self, row: Session) -> None:
        await self._add(row)

    async def session(self, id: str) -> Session | None:
        return await self._get(Session, id)

    async def add_participant(self, row: Participant) -> None:
        await self._add(row)

    async def participants(self, session_id: str) -> Sequence[Participant]:
        query = select(Participant).where(Participant.session_id == session_id)
        return await self._all(query.order_by(Participant.joined_at, Participant.id))

    async def participant(self, id: str) -> Participant | None:
        return await self._get(Participant, id)

    async def participant_by_token(self, session_id: str, token_hash: str) -> Participant | None:
        query = select(Participant).where(Participant.session_id == session_id, Participant.token_hash == token_hash)
        return next(iter(await self._all(query)), None)

    async def participant_left(self, id: str, at: datetime) -> None:
        """The last departure counts: someone may come back and leave again."""
        async with self._database.writing() as session:
            await session.execute(update(Participant).where(Participant.id == id).values(left_at=at))

    async def create_recording(self, row: Recording) -> None:
        await self._add(row)

    async def recording_began(self, id: str, started_ns: int) -> None:
        """Put a running recording's start where its first packets can be: writing its row took time."""
        async with self._database.writing() as session:
            await session.execute(
                update(Recording)
                .where(Recording.id == id, Recording.stopped_ns.is_(None))
                .values(started_ns=started_ns)
            )

    async def stop_recording(self, id: str, stopped_ns: int) -> bool:
        """Set the stop time, once, and go from `recording` to `finishing`.

        Returns: whether this call stopped it; False if it was stopped before or does not exist.
        """
        async with self._database.writing() as session:
            first = await session.execute(
                update(Recording)
                .where(Recording.id == id, Recording.stopped_ns.is_(None))
                .values(stopped_ns=stopped_ns)
            )
            await _move(session, id, "finishing")
            return _changed(first)

    async def recording(self, id: str) -> Recording | None:
        return await self._get(Recording, id)

    async def recordings(self, session_id: str) -> Sequence[Recording]:
        query = select(Recording).where(Recording.session_id == session_id)
        return await self._all(query.order_by(Recording.started_ns, Recording.id))

    async def open_recordings(self) -> Sequence[Recording]:
        """Those in state `recording`, of all sessions: after a crash of the node, the ones it left behind."""
        query = select(Recording).where(Recording.state == "recording")
        return await self._all(query.order_by(Recording.started_at, Recording.id))

    async def set_recording_state(self, id: str, state: str) -> bool:
        """Move along RECORDING_STATE_FROM.

        Returns: whether the row changed; False if it is there already, beyond it, or does not exist.
        Raises: ValueError for a state that cannot be moved to.
        """
        async with self._database.writing() as session:
            return await _move(session, id, state)

    async def add_take(self, row: Take) -> Take:
        """Returns: the take of this recording, participant, kind and slot; `row` unless there was one before."""
        async with self._database.writing() as session:
            await session.execute(self._insert(Take).values(_values(row)).on_conflict_do_nothing())
            same_slot = select(Take).where(
                Take.recording_id == row.recording_id,
                Take.participant_id == row.participant_id,
                Take.kind == row.kind,
                Take.slot == row.slot,
            )
            kept = (await session.scalars(same_slot)).one_or_none()
            if kept is None:
                raise CatalogConflict(f"take {row.id} belongs to another source")
            return kept

    async def takes(self, recording_id: str) -> Sequence[Take]:
        query = select(Take).where(Take.recording_id == recording_id)
        return await self._all(query.order_by(Take.participant_id, Take.kind, Take.slot))

    async def upsert_segment(self, row: Segment) -> None:
        """Insert, or replace those columns of the row there that are set on `row`."""
        await self._upsert(row, "id")

    async def segment(self, id: str) -> Segment | None:
        return await self._get(Segment, id)

    async def segments(self, recording_id: str) -> Sequence[Segment]:
        query = select(Segment).join(Take, Take.id == Segment.take_id).where(Take.recording_id == recording_id)
        return await self._all(query.order_by(Segment.take_id, Segment.copy, Segment.start_ns, Segment.id))

    async def add_chunk(self, row: Chunk) -> None:
        """Raises: CatalogConflict if other content was verified under this index."""
        async with self._database.writing() as session:
            await session.execute(self._insert(Chunk).values(_values(row)).on_conflict_do_nothing())
            kept = await session.get_one(Chunk, (row.segment_id, row.index))
            if (kept.size_bytes, kept.sha256) != (row.size_bytes, row.sha256):
                raise CatalogConflict(f"chunk {row.index} of {row.segment_id} has other content")

    async def chunks(self, segment_id: str) -> Sequence[Chunk]:
        """By index; there may be holes."""
        return await self._all(select(Chunk).where(Chunk.segment_id == segment_id).order_by(Chunk.index))

    async def add_off_record(self, row: OffRecord, at_most: int) -> OffRecord | None:
        """Returns: what covers just this range already, or `row`; None if the recording has `at_most` ranges."""
        of_recording = select(OffRecord).where(OffRecord.recording_id == row.recording_id)
        same = of_recording.where(OffRecord.start_ns == row.start_ns, OffRecord.stop_ns == row.stop_ns)
        async with self._database.writing() as session:
            if (known := (await session.scalars(same)).first()) is not None:
                return known
            if (await session.scalar(select(func.count()).select_from(of_recording.subquery())) or 0) >= at_most:
                return None
            session.add(row)
            return row

    async def off_record(self, recording_id: str) -> Sequence[OffRecord]:
        query = select(OffRecord).where(OffRecord.recording_id == recording_id)
        return await self._all(query.order_by(OffRecord.start_ns, OffRecord.id))

    async def purge_off_record(self, ids: Sequence[str], by: str | None, at_ns: int) -> None:
        """Note it at each of these ranges that was not purged before."""
        ranges = (OffRecord.id.in_(ids), OffRecord.purged_ns.is_(None))
        async with self._database.writing() as session:
            await session.execute(update(OffRecord).where(*ranges).values(purged_by=by, purged_ns=at_ns))

    async def delete_off_record(self, id: str) -> None:
        """Idempotent."""
        async with self._database.writing() as session:
            await session.execute(delete(OffRecord).where(OffRecord.id == id))

    async def upsert_redaction(self, row: Redaction) -> None:
        """Insert, or replace the one of the segment."""
        await self._upsert(row, "segment_id")

    async def redactions(self, recording_id: str) -> dict[str, Redaction]:
        """By segment id."""
        of_segment = select(Redaction).join(Segment, Segment.id == Redaction.segment_id)
        query = of_segment.join(Take, Take.id == Segment.take_id).where(Take.recording_id == recording_id)
        return {row.segment_id: row for row in await self._all(query)}

    async def delete_redaction(self, segment_id: str) -> None:
        """Idempotent."""
        async with self._database.writing() as session:
            await session.execute(delete(Redaction).where(Redaction.segment_id == segment_id))

    async def _upsert(self, row: Base, key: str) -> None:
        values = _values(row)
        insert = self._insert(type(row)).values(values)
        replaced = {name: insert.excluded[name] for name in values if name != key}
        async with self._database.writing() as session:
            await session.execute(insert.on_conflict_do_update(index_elements=[key], set_=replaced))

    async def _add(self, row: Base) -> None:
        async with self._database.writing() as session:
            session.add(row)

    async def _get(self, table: type[Row], id: str) -> Row | None:
        async with self._database.reading() as session:
            return await session.get(table, id)

    async def _all(self, query: Select[Row]) -> Sequence[Row]:
        async with self._database.reading() as session:
            return (await session.scalars(query)).all()


async def _move(session: AsyncSession, recording_id: str, state: str) -> bool:
    allowed = RECORDING_STATE_FROM.get(state)
    if allowed is None:
        raise ValueError(f"a recording cannot be moved to {state!r}")
    condition = (Recording.id == recording_id, Recording.state.in_(allowed))
    return _changed(await session.execute(update(Recording).where(*condition).values(state=state)))


def _changed(result: Any) -> bool:
    assert isinstance(result, CursorResult)
    return result.rowcount > 0


def _values(row: Base) -> dict[str, Any]:
    """The columns that were set on this object; the others keep their defaults."""
    state = inspect(row)
    return {column.key: state.dict[column.key] for column in state.mapper.column_attrs if column.key in state.dict}
