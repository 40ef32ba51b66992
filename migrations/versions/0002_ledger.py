"""Accounts, transfers, attempts, seals, statements, allocations."""

from migrations.run import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql(__file__)
