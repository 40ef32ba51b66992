"""Statements in every format that banks and providers send, told from each other."""

from migrations.run import run_sql

revision = "0023"
down_revision = "0021"


def upgrade() -> None:
    run_sql(__file__)
