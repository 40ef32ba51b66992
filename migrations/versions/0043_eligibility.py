"""Who is eligible by a programme's rules, scores of vulnerability, and caps of instruments."""

from migrations.run import run_sql

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    run_sql(__file__)
