"""Files without what is off the record.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "redaction",
        sa.Column("segment_id", sa.String(32), nullable=False),
        sa.Column("object_key", sa.String(512), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("off_record", sa.Text(), nullable=False),
        sa.Column("problem", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("segment_id", name="pk_redaction"),
        sa.ForeignKeyConstraint(["segment_id"], ["segment.id"], name="fk_redaction_segment_id_segment"),
    )


def downgrade() -> None:
    op.drop_table("redaction")
