"""Refused attempts and reservations for who tries rules of overlap, and who tried them."""

from migrations.run import run_sql

revision = "0057"
down_revision = "0056"


def upgrade() -> None:
    run_sql(__file__)
