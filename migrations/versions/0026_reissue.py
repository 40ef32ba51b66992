"""What failed is paid again, and what nobody collected expires."""

from migrations.run import run_sql

revision = "0026"
down_revision = "0024"


def upgrade() -> None:
    run_sql(__file__)
