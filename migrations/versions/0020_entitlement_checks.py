"""Entitlements are checked as a whole page."""

from migrations.run import run_sql

revision = "0020"
down_revision = "0017"


def upgrade() -> None:
    run_sql(__file__)
