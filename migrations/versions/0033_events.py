"""A household changes by events, and what stood before is kept as a version."""

from migrations.run import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql(__file__)
