"""Masked values of faults are sealed with the file, and end with it."""

from migrations.run import run_sql

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    run_sql(__file__)
