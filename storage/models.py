"""The tables. Portable types only (SQLite and PostgreSQL); times on the session clock are int64 nanoseconds.

Who writes what: the node writes sessions, participants, recordings (insert, stop), takes, chunks, what is off the
record, and inserts the segments of local captures. The recorder process inserts the segments of server copies, updates
segments of both copies, writes redactions, and moves a recording from `finishing` to `finished` or `failed`.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.times import UtcDateTime


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Session(Base):
    """A room when it is live. Its clock starts at zero when the session is created."""

    __tablename__ = "session"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    host_secret_hash: Mapped[str] = mapped_column(String(64))
    max_participants: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    clock_zero_wall_ns: Mapped[int] = mapped_column(BigInteger)
    """Unix time of the session clock's zero."""
    clock_zero_monotonic_ns: Mapped[int] = mapped_column(BigInteger)
    """The same moment on the monotonic clock of `clock_boot_id`; of use only on that boot."""
    clock_boot_id: Mapped[str] = mapped_column(String(64))


class Participant(Base):
    __tablename__ = "participant"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("session.id"), index=True)
    display_name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64))
    joined_at: Mapped[datetime] = mapped_column(UtcDateTime)
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    access: Mapped[str] = mapped_column(String(16), default="page", server_default="page")
    """What the token is good for: `page` (the WebSocket), `publish` (WHIP) or `watch` (WHEP)."""
    watch_participant_id: Mapped[str | None] = mapped_column(ForeignKey("participant.id"), default=None)
    """Whose tracks may be watched; None: everybody's."""
    watch_kinds: Mapped[str | None] = mapped_column(String(64), default=None)
    """Kinds of tracks that may be watched, most wanted first, with commas between them; None: all."""
    __table_args__ = (
        CheckConstraint("role IN ('host','guest')", name="role"),
        CheckConstraint("access IN ('page','publish','watch')", name="access"),
    )


class Recording(Base):
    """One press of the red button."""

    __tablename__ = "recording"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("session.id"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_ns: Mapped[int] = mapped_column(BigInteger)
    stopped_ns: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (CheckConstraint("state IN ('recording','finishing','finished','failed')", name="state"),)


class Take(Base):
    """One source slot of one participant in one recording."""

    __tablename__ = "take"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recording.id"), index=True)
    participant_id: Mapped[str] = mapped_column(ForeignKey("participant.id"))
    kind: Mapped[str] = mapped_column(String(16))
    slot: Mapped[int] = mapped_column(Integer)
    """0 for the first source of this kind."""
    __table_args__ = (UniqueConstraint("recording_id", "participant_id", "kind", "slot"),)


class Segment(Base):
    """One uninterrupted file of a take.

    A local capture holds camera and microphone in one file: it belongs to the take of `camera` when there is video,
    else to that of `microphone`.
    """

    __tablename__ = "segment"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    take_id: Mapped[str] = mapped_column(ForeignKey("take.id"), index=True)
    copy: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(16))
    """capturing -> finishing -> stored, or failed."""
    codec: Mapped[str] = mapped_column(String(32), default="")
    """Such as `vp8`, `opus`, or `vp8,opus`."""
    content_type: Mapped[str] = mapped_column(String(64), default="")
    object_key: Mapped[str] = mapped_column(String(512), default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    start_ns: Mapped[int] = mapped_column(BigInteger, default=0)
    """First sample, on the session clock."""
    start_bound_ns: Mapped[int] = mapped_column(BigInteger, default=0)
    """Error bound of `start_ns`, +-."""
    duration_ns: Mapped[int] = mapped_column(BigInteger, default=0)
    problem: Mapped[str] = mapped_column(String(500), default="")
    __table_args__ = (
        CheckConstraint("copy IN ('server','local')", name="copy"),
        CheckConstraint("state IN ('capturing','finishing','stored','failed')", name="state"),
    )


class OffRecord(Base):
    """A range of a recording that nobody may have, on the session clock."""

    __tablename__ = "off_record"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recording.id"), index=True)
    start_ns: Mapped[int] = mapped_column(BigInteger)
    stop_ns: Mapped[int] = mapped_column(BigInteger)
    marked_by: Mapped[str | None] = mapped_column(ForeignKey("participant.id"))
    """None: whoever has the host link, from outside of the room."""
    marked_ns: Mapped[int] = mapped_column(BigInteger)
    purged_by: Mapped[str | None] = mapped_column(ForeignKey("participant.id"), default=None)
    """As `marked_by`."""
    purged_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)
    """When a host asked for it; None: nobody did."""


class Redaction(Base):
    """The file of a segment without what is off the record, once it is stored and verified."""

    __tablename__ = "redaction"
    segment_id: Mapped[str] = mapped_column(ForeignKey("segment.id"), primary_key=True)
    object_key: Mapped[str] = mapped_column(String(512))
    """Empty: nothing is left of the segment, or see `problem`."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    off_record: Mapped[str] = mapped_column(Text)
    """Ids of the ranges that were left out, with commas between them."""
    problem: Mapped[str] = mapped_column(String(500), default="")
    whole_gone: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """The whole file was purged, with all that it was made from."""


class Chunk(Base):
    """One object of a local capture; the row is written once the object was read back and compared."""

    __tablename__ = "chunk"
    segment_id: Mapped[str] = mapped_column(ForeignKey("segment.id"), primary_key=True)
    index: Mapped[int] = mapped_column(Integer, primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    object_key: Mapped[str] = mapped_column(String(512))
    end_ms: Mapped[float] = mapped_column()
    """Capture time at the end of this chunk, milliseconds since the capture began."""
