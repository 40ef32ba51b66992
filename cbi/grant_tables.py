"""The tables of grants, beside the others of `cbi`."""

from sqlalchemy import BigInteger, Column, Date, Integer, Table, Text, Uuid

from cbi.tables import MOMENT, metadata

grant_agreement = Table(
    "grant_agreement",
    metadata,
    Column("grant_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("code", Text, nullable=False),
    Column("donor", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("entered_at", MOMENT, nullable=False),
)
grant_version = Table(
    "grant_version",
    metadata,
    Column("grant_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("entered_at", MOMENT, nullable=False),
)
grant_approval = Table(
    "grant_approval",
    metadata,
    Column("grant_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("approved_by", Uuid, nullable=False),
    Column("approved_at", MOMENT, nullable=False),
)
round_grant = Table(
    "round_grant",
    metadata,
    Column("naming_no", BigInteger, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("grant_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
)
