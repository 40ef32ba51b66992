"""A batch of transfers is checked and carried into the accounts by the database."""

from migrations.run import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql(__file__)
