"""Figures on appeals, counted across partners for finished quarters."""

from migrations.run import run_sql

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    run_sql(__file__)
