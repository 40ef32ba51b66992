"""Leaves are checked as a whole batch, not row by row."""

from migrations.run import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql(__file__)
