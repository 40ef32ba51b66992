"""The tables of profiles of payment files, beside the other tables of the schema `cbi`."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from cbi.tables import MOMENT, metadata

fsp_profile = Table(
    "fsp_profile",
    metadata,
    Column("partner_id", Uuid, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content", JSONB, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("added_by", Uuid, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
programme_profile = Table(
    "programme_profile",
    metadata,
    Column("choice_no", BigInteger, primary_key=True),
    Column("programme_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("code", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("own_version", Integer),
    Column("since", MOMENT, nullable=False),
    Column("actor_id", Uuid, nullable=False),
)
