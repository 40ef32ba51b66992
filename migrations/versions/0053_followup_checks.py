"""A follow-up's payees are matched anew before it is approved, as a round's are."""

from migrations.run import run_sql

revision = "0053"
down_revision = "0052"


def upgrade() -> None:
    run_sql(__file__)
