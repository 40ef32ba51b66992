"""Values of a UIT and caps of instruments, which count when a second person has approved them."""

from migrations.run import run_sql

revision = "0056"
down_revision = "0055"


def upgrade() -> None:
    run_sql(__file__)
