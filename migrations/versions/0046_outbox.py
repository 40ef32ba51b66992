"""Notices go to an outbox and from there to the webhooks of organisations."""

from migrations.run import run_sql

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    run_sql(__file__)
