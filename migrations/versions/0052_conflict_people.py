"""Two people who have no part in a conflict of promises decide it."""

from migrations.run import run_sql

revision = "0052"
down_revision = "0051"


def upgrade() -> None:
    run_sql(__file__)
