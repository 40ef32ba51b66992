"""A chunk has one part of the payment file or several, each with its payments and its profile."""

from migrations.run import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql(__file__)
