"""Turns of the waiting list are told, in the daytime, and so many messages a day at most."""

from migrations.run import run_sql

revision = "0062"
down_revision = "0061"


def upgrade() -> None:
    run_sql(__file__)
