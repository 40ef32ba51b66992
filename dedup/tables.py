"""The tables of migration 0003, as SQLAlchemy Core sees them."""

from sqlalchemy import Column, DateTime, Double, MetaData, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="dedup")

match_case = Table(
    "match_case",
    metadata,
    Column("case_id", Uuid, primary_key=True, server_default=func.uuidv7()),
    Column("household_a", Uuid, nullable=False),
    Column("household_b", Uuid),
    Column("partner_a", Uuid, nullable=False),
    Column("partner_b", Uuid),
    Column("reason", Text, nullable=False),
    Column("why", Text),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Uuid, nullable=False),
    Column("model_id", Text),
    Column("strength_bits", Double),
)

case_pair = Table(
    "case_pair",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("person_a", Uuid, primary_key=True),
    Column("person_b", Uuid, primary_key=True),
    Column("model_id", Text, primary_key=True),
    Column("weight_bits", Double, nullable=False),
    Column("probability", Double, nullable=False),
    Column("evidence", JSONB, nullable=False),
)

judgement = Table(
    "judgement",
    metadata,
    Column("judgement_id", Uuid, primary_key=True, server_default=func.uuidv7()),
    Column("case_id", Uuid, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("judged_at", DateTime(timezone=True), nullable=False),
)

decision = Table(
    "decision",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
)
