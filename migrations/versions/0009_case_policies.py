"""What belongs to a case is looked up by its case, however many there are."""

from migrations.run import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql(__file__)
