"""Families stay findable for as long as months promised to them run."""

from migrations.run import run_sql

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    run_sql(__file__)
