"""What is off the record can be purged.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("off_record") as table:
        table.add_column(sa.Column("purged_by", sa.String(32), nullable=True))
        table.add_column(sa.Column("purged_ns", sa.BigInteger(), nullable=True))
        table.create_foreign_key("fk_off_record_purged_by_participant", "participant", ["purged_by"], ["id"])
    with op.batch_alter_table("redaction") as table:
        table.add_column(sa.Column("whole_gone", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("redaction") as table:
        table.drop_column("whole_gone")
    with op.batch_alter_table("off_record") as table:
        table.drop_constraint("fk_off_record_purged_by_participant", type_="foreignkey")
        for column in ("purged_ns", "purged_by"):
            table.drop_column(column)
