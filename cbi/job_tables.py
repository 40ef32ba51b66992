"""The tables of jobs, beside the others of the schema `cbi`."""

from sqlalchemy import ARRAY, Column, Computed, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from cbi.tables import MOMENT, metadata

job = Table(
    "job",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid),
    Column("key_prefix", Text),
    Column("roles", ARRAY(Text), nullable=False),
    Column("area", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("made_at", MOMENT, nullable=False),
)
job_chunk = Table(
    "job_chunk",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("chunk_no", Integer, primary_key=True),
    Column("previous", Integer, Computed("chunk_no - 1", persisted=True)),
    Column("partner_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("cursor", JSONB, nullable=False),
)
job_end = Table(
    "job_end",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", MOMENT, nullable=False),
    Column("ended_by", Uuid, nullable=False),
    Column("result", JSONB, nullable=False),
)
job_lease = Table(
    "job_lease",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("worker_id", Uuid),
    Column("held_until", MOMENT, nullable=False),
    Column("takes", Integer, nullable=False),
)
