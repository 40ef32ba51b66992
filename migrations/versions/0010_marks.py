"""Roots of subtrees of the Merkle log, so that a proof need not read all of it."""

from migrations.run import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql(__file__)
