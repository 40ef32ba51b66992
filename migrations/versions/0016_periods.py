"""Periods are closed, digests are sealed, and two currencies are exchanged."""

from migrations.run import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_sql(__file__)
