"""First tables: session, participant, recording, take, segment, chunk.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("host_secret_hash", sa.String(64), nullable=False),
        sa.Column("max_participants", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clock_zero_wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("clock_zero_monotonic_ns", sa.BigInteger(), nullable=False),
        sa.Column("clock_boot_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
    )
    op.create_table(
        "participant",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("display_name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_participant"),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name="fk_participant_session_id_session"),
        sa.CheckConstraint("role IN ('host','guest')", name=op.f("ck_participant_role")),
    )
    op.create_index("ix_participant_session_id", "participant", ["session_id"])
    op.create_table(
        "recording",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("stopped_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_recording"),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name="fk_recording_session_id_session"),
        sa.CheckConstraint("state IN ('recording','finishing','finished','failed')", name=op.f("ck_recording_state")),
    )
    op.create_index("ix_recording_session_id", "recording", ["session_id"])
    op.create_table(
        "take",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("recording_id", sa.String(32), nullable=False),
        sa.Column("participant_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_take"),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name="fk_take_recording_id_recording"),
        sa.ForeignKeyConstraint(["participant_id"], ["participant.id"], name="fk_take_participant_id_participant"),
        sa.UniqueConstraint("recording_id", "participant_id", "kind", "slot", name="uq_take_recording_id"),
    )
    op.create_index("ix_take_recording_id", "take", ["recording_id"])
    op.create_table(
        "segment",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("take_id", sa.String(32), nullable=False),
        sa.Column("copy", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("codec", sa.String(32), nullable=False),
        sa.Column("content_type", sa.String(64), nullable=False),
        sa.Column("object_key", sa.String(512), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("start_bound_ns", sa.BigInteger(), nullable=False),
        sa.Column("duration_ns", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_segment"),
        sa.ForeignKeyConstraint(["take_id"], ["take.id"], name="fk_segment_take_id_take"),
        sa.CheckConstraint("copy IN ('server','local')", name=op.f("ck_segment_copy")),
        sa.CheckConstraint("state IN ('capturing','finishing','stored','failed')", name=op.f("ck_segment_state")),
    )
    op.create_index("ix_segment_take_id", "segment", ["take_id"])
    op.create_table(
        "chunk",
        sa.Column("segment_id", sa.String(32), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("object_key", sa.String(512), nullable=False),
        sa.Column("end_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("segment_id", "index", name="pk_chunk"),
        sa.ForeignKeyConstraint(["segment_id"], ["segment.id"], name="fk_chunk_segment_id_segment"),
    )


def downgrade() -> None:
    for table in ("chunk", "segment", "take", "recording", "participant", "session"):
        op.drop_table(table)
