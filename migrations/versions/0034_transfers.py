"""A household is offered to another organisation, and goes on there as the same family."""

from migrations.run import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_sql(__file__)
