"""Grants of donors: what they agreed to give, between which days, and what draws on them."""

from migrations.run import run_sql

revision = "0055"
down_revision = "0054"


def upgrade() -> None:
    run_sql(__file__)
