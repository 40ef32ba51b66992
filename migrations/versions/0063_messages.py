"""More of what organisations and people should hear."""

from migrations.run import run_sql

revision = "0063"
down_revision = "0062"


def upgrade() -> None:
    run_sql(__file__)
