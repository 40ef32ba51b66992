"""The table of the console, beside the others of the schema `cbi`."""

from sqlalchemy import Column, Table, Uuid

from cbi.tables import MOMENT, metadata

console_end = Table(
    "console_end",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("ended_at", MOMENT, nullable=False),
)
