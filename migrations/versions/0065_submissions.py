"""Which submission of a form a household came from, so that an edited one is its next version."""

from migrations.run import run_sql

revision = "0065"
down_revision = "0064"


def upgrade() -> None:
    run_sql(__file__)
