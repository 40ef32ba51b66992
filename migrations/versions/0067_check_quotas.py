"""An organisation's daily quota of checks can be agreed, with an end."""

from migrations.run import run_sql

revision = "0067"
down_revision = "0066"


def upgrade() -> None:
    run_sql(__file__)
