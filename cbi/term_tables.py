"""The tables of a programme's terms and what hangs on them, beside the others of `cbi`."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Integer,
    Table,
    Text,
    Uuid,
)
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
eligibility_override = Table(
    "eligibility_override",
    metadata,
    Column("override_id", Uuid, primary_key=True),
    Column("programme_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("kind", Text),
    Column("rules_version", Integer, nullable=False),
    Column("because", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("decided_by", Uuid, nullable=False),
    Column("decided_at", MOMENT, nullable=False),
)
eligibility_answer = Table(
    "eligibility_answer",
    metadata,
    Column("enrolment_id", Uuid, primary_key=True),
    Column("programme_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("kind", Text),
    Column("rules_version", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("asked_by", Uuid, nullable=False),
    Column("asked_at", MOMENT, nullable=False),
    Column("override_id", Uuid),
    Column("overridden_by", Uuid),
)
score = Table(
    "score",
    metadata,
    Column("score_no", BigInteger, primary_key=True),
    Column("household_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("components", JSONB, nullable=False),
    Column("scored_by", Uuid, nullable=False),
    Column("scored_at", MOMENT, nullable=False),
)
uit_value = Table(
    "uit_value",
    metadata,
    Column("uit_no", BigInteger, primary_key=True),
    Column("effective_from", Date, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("is_example", Boolean, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("entered_at", MOMENT, nullable=False),
)
uit_approval = Table(
    "uit_approval",
    metadata,
    Column("uit_no", BigInteger, primary_key=True),
    Column("entered_by", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("approved_by", Uuid, nullable=False),
    Column("approved_at", MOMENT, nullable=False),
)
cap_approval = Table(
    "cap_approval",
    metadata,
    Column("cap_no", BigInteger, primary_key=True),
    Column("entered_by", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("approved_by", Uuid, nullable=False),
    Column("approved_at", MOMENT, nullable=False),
)
instrument_cap = Table(
    "instrument_cap",
    metadata,
    Column("cap_no", BigInteger, primary_key=True),
    Column("instrument_kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("unit", Text, nullable=False),
    Column("per_transaction", BigInteger),
    Column("per_month", BigInteger),
    Column("balance", BigInteger),
    Column("source", Text, nullable=False),
    Column("is_example", Boolean, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("entered_at", MOMENT, nullable=False),
)
