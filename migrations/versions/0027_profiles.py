"""How a provider wants its file is data: profiles, and which one a programme uses since when."""

from migrations.run import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql(__file__)
