"""A catalog that remembers what a delivery told it."""

from sqlalchemy.exc import OperationalError

from storage import models


class FakeCatalog:
    """The states that each segment's row went through."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.rows: dict[str, models.Segment] = {}
        self.recording: list[object] = []
        self.failures = 0

    async def add_take(self, row: models.Take) -> models.Take:
        if self.failures:
            self.failures -= 1
            raise OperationalError("INSERT", {}, Exception("database is locked"))
        return row

    async def upsert_segment(self, row: models.Segment) -> None:
        self.rows[row.id] = row
        self.states.append(row.state)

    async def segment(self, id: str) -> models.Segment | None:
        return self.rows.get(id)

    async def stop_recording(self, id: str, stopped_ns: int) -> bool:
        self.recording.append(stopped_ns)
        return True

    async def set_recording_state(self, id: str, state: str) -> bool:
        self.recording.append(state)
        return True
