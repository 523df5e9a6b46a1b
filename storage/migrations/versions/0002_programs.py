"""Participants that are programs: what a token is good for, and what may be watched with it.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("participant") as table:
        table.add_column(sa.Column("access", sa.String(16), nullable=False, server_default="page"))
        table.add_column(sa.Column("watch_participant_id", sa.String(32), nullable=True))
        table.add_column(sa.Column("watch_kinds", sa.String(64), nullable=True))
        table.create_foreign_key(
            "fk_participant_watch_participant_id_participant", "participant", ["watch_participant_id"], ["id"]
        )
        table.create_check_constraint(op.f("ck_participant_access"), "access IN ('page','publish','watch')")


def downgrade() -> None:
    with op.batch_alter_table("participant") as table:
        table.drop_constraint(op.f("ck_participant_access"), type_="check")
        table.drop_constraint("fk_participant_watch_participant_id_participant", type_="foreignkey")
        for column in ("watch_kinds", "watch_participant_id", "access"):
            table.drop_column(column)
