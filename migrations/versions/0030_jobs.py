"""Long work as jobs: made, worked on chunk by chunk, ended; whoever works holds a lease."""

from migrations.run import run_sql

revision = "0030"
down_revision = "0028"


def upgrade() -> None:
    run_sql(__file__)
