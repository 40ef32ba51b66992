"""A person may appeal a refusal: slips, appeals, their review, and what a reversal does."""

from migrations.run import run_sql

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    run_sql(__file__)
