"""An organisation's own texts for people."""

from migrations.run import run_sql

revision = "0064"
down_revision = "0063"


def upgrade() -> None:
    run_sql(__file__)
