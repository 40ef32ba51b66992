"""The index to search by, made narrow; checks that store nobody, and how many there may be."""

from migrations.run import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql(__file__)
