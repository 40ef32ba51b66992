"""Checked files of 50,000 households, that go on the next day by themselves."""

from migrations.run import run_sql

revision = "0068"
down_revision = "0067"


def upgrade() -> None:
    run_sql(__file__)
