"""The sessions of the console that somebody signed out of."""

from migrations.run import run_sql

revision = "0069"
down_revision = "0068"


def upgrade() -> None:
    run_sql(__file__)
