"""Figures on refusals for everybody: by language too, and of all that was lifted."""

from migrations.run import run_sql

revision = "0061"
down_revision = "0060"


def upgrade() -> None:
    run_sql(__file__)
