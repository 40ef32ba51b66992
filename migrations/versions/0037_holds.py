"""Rules of overlap agreed by organisations, and the holds that keep families from overlaps."""

from migrations.run import run_sql

revision = "0037"
down_revision = "0035"


def upgrade() -> None:
    run_sql(__file__)
