"""Roles, the facts of a transaction, and the triggers that keep history as it was."""

from migrations.run import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql(__file__)
