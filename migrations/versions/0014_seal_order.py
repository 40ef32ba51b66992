"""The order of the seal in plain numbers, so that it has an index to go by."""

from migrations.run import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql(__file__)
