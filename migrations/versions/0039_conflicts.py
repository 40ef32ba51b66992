"""Promises to one family that turned out to overlap: noticed, decided by a person, simulated."""

from migrations.run import run_sql

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    run_sql(__file__)
