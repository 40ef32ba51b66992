"""Erasing a household reaches what is kept of its persons elsewhere, and what it said."""

from migrations.run import run_sql

revision = "0058"
down_revision = "0057"


def upgrade() -> None:
    run_sql(__file__)
