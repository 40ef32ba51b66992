"""The tables of payment files and their profiles, beside the others of the schema `cbi`."""

from sqlalchemy import ARRAY, BigInteger, Column, Integer, LargeBinary, Table, Text, Uuid
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
payment_file = Table(
    "payment_file",
    metadata,
    Column("round_id", Uuid, primary_key=True),
    Column("part_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("written_at", MOMENT, nullable=False),
    Column("chunk_no", Integer, nullable=False),
    Column("payment_ids", ARRAY(Uuid), nullable=False),
    Column("profile_code", Text, nullable=False),
    Column("profile_version", Integer, nullable=False),
    Column("own_version", Integer),
)
followup_file = Table(
    "followup_file",
    metadata,
    Column("followup_id", Uuid, primary_key=True),
    Column("part_no", Integer, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("written_at", MOMENT, nullable=False),
    Column("payment_ids", ARRAY(Uuid), nullable=False),
    Column("profile_code", Text, nullable=False),
    Column("profile_version", Integer, nullable=False),
    Column("own_version", Integer),
)
