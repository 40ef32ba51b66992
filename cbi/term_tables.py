"""The tables of a programme's terms and what hangs on them, beside the others of `cbi`."""

from sqlalchemy import ARRAY, BigInteger, Column, Date, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from cbi.tables import MOMENT, metadata

term = Table(
    "term",
    metadata,
    Column("programme_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
term_approval = Table(
    "term_approval",
    metadata,
    Column("programme_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("approved_by", Uuid, nullable=False),
    Column("approved_at", MOMENT, nullable=False),
)
calculation_basis = Table(
    "calculation_basis",
    metadata,
    Column("round_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("value_versions", ARRAY(Integer), nullable=False),
    Column("schedule_version", Integer),
    Column("top_up_version", Integer),
    Column("cap_nos", ARRAY(BigInteger), nullable=False),
    Column("uit_no", BigInteger),
)
