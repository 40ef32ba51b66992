"""Somebody who was never registered may appeal as well."""

from migrations.run import run_sql

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    run_sql(__file__)
