"""A round says on what it was calculated, and an enrolment gets no more than its instalments."""

from migrations.run import run_sql

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    run_sql(__file__)
