"""The tables of lists that may be checked, beside the others of the schema `cbi`."""

from sqlalchemy import Column, Date, Table, Text, Uuid

from cbi.tables import MOMENT, metadata

check_list = Table(
    "check_list",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("until", Date, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
    Column("opened_by", Uuid, nullable=False),
)
