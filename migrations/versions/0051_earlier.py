"""Months that a round pays before an enrolment's own are held as well."""

from migrations.run import run_sql

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    run_sql(__file__)
