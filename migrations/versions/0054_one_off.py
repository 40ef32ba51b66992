"""One-off grants that keep other kinds of assistance away for some months."""

from migrations.run import run_sql

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    run_sql(__file__)
