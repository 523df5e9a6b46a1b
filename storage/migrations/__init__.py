"""Alembic's folder: `env.py` and one file per revision. Run by `storage.database.Database.migrate`."""
