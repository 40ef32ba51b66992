"""Terms of a programme: versioned, dated, entered by one person and approved by another."""

from migrations.run import run_sql

revision = "0041"
down_revision = "0039"


def upgrade() -> None:
    run_sql(__file__)
