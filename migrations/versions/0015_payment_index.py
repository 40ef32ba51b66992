"""What belongs to a payment is found by it."""

from migrations.run import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql(__file__)
