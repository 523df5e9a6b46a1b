"""Ranges of recordings that nobody may have.

Revision: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "off_record",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("recording_id", sa.String(32), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("stop_ns", sa.BigInteger(), nullable=False),
        sa.Column("marked_by", sa.String(32), nullable=True),
        sa.Column("marked_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_off_record"),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name="fk_off_record_recording_id_recording"),
        sa.ForeignKeyConstraint(["marked_by"], ["participant.id"], name="fk_off_record_marked_by_participant"),
    )
    op.create_index("ix_off_record_recording_id", "off_record", ["recording_id"])


def downgrade() -> None:
    op.drop_table("off_record")
