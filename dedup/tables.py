"""The tables and views of the schema `dedup`, as SQLAlchemy Core sees them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="dedup")
views = MetaData(schema="dedup")
MOMENT = DateTime(timezone=True)

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
    Column("opened_at", MOMENT, nullable=False),
    Column("opened_by", Uuid, nullable=False),
    Column("model_id", Text),
    Column("strength_bits", Double),
    Column("reopens", Uuid),
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

scoring = Table(
    "scoring",
    metadata,
    Column("scoring_no", BigInteger, primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("strength_bits", Double, nullable=False),
    Column("scored_at", MOMENT, nullable=False),
    Column("scored_by", Uuid, nullable=False),
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
    Column("judged_at", MOMENT, nullable=False),
    Column("supersedes", Uuid),
)

decision = Table(
    "decision",
    metadata,
    Column("case_id", Uuid, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("decided_at", MOMENT, nullable=False),
    Column("decision_no", BigInteger, primary_key=True),
    Column("supersedes", BigInteger),
    Column("model_id", Text),
    Column("evidence_digest", LargeBinary),
)

assignment = Table(
    "assignment",
    metadata,
    Column("assignment_no", BigInteger, primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid),
    Column("assigned_by", Uuid, nullable=False),
    Column("assigned_at", MOMENT, nullable=False),
)

case_standing = Table(
    "case_standing",
    views,
    Column("case_id", Uuid),
    Column("state", Text),
    Column("waiting_since", MOMENT),
    Column("model_id", Text),
    Column("strength_bits", Double),
    Column("assigned_partner_id", Uuid),
    Column("assigned_actor_id", Uuid),
    Column("assigned_at", MOMENT),
    Column("reopened_as", Uuid),
)

model = Table(
    "model",
    metadata,
    Column("model_id", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("added_at", MOMENT, nullable=False),
    Column("added_by", Uuid, nullable=False),
)

model_activation = Table(
    "model_activation",
    metadata,
    Column("activation_no", BigInteger, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("partners", ARRAY(Uuid), nullable=False),
    Column("started_at", MOMENT, nullable=False),
    Column("started_by", Uuid, nullable=False),
)

run_step = Table(
    "run_step",
    metadata,
    Column("step_no", BigInteger, primary_key=True),
    Column("run_id", Uuid, nullable=False),
    Column("phase", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("at", MOMENT, nullable=False),
)
