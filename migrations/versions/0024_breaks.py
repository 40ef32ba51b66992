"""Allocations of parts, unmatching, kept breaks and their ends, freezes, sealed reconciliations."""

from migrations.run import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_sql(__file__)
