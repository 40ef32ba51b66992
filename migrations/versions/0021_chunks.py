"""Rounds are calculated page by page, funded once and reserved chunk by chunk."""

from migrations.run import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_sql(__file__)
