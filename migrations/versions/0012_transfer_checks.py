"""Transfers are checked as a whole batch; a narrower table."""

from migrations.run import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql(__file__)
