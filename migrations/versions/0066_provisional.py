"""A registration that was taken elsewhere is provisional until it is checked, and shows it."""

from migrations.run import run_sql

revision = "0066"
down_revision = "0065"


def upgrade() -> None:
    run_sql(__file__)
