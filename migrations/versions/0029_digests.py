"""Auditors see which files were written, and their digests."""

from migrations.run import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql(__file__)
