"""Reservations that expire by themselves, and a list of those who wait for a family to be free."""

from migrations.run import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    run_sql(__file__)
