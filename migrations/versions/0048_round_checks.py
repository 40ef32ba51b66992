"""A payment list is approved only with a check of everybody on it that is not older than hours."""

from migrations.run import run_sql

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    run_sql(__file__)
