"""Cases are reopened, assigned and undone; families follow the decisions in force, both ways."""

from migrations.run import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql(__file__)
