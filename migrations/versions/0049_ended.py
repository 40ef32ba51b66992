"""A household that has ended reserves nothing and waits for nothing."""

from migrations.run import run_sql

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    run_sql(__file__)
