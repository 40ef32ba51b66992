"""The tables of what overlap refused, and of who tried which rules, beside the others of `cbi`."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import DATERANGE

from cbi.tables import MOMENT, metadata

refused_attempt = Table(
    "refused_attempt",
    metadata,
    Column("partner_id", Uuid, nullable=False),
    Column("household_key", LargeBinary, nullable=False),
    Column("assistance", Text, nullable=False),
    Column("months", DATERANGE, nullable=False),
    Column("rules_version", Integer, nullable=False),
    Column("at", MOMENT, nullable=False),
)
simulation = Table(
    "simulation",
    metadata,
    Column("simulation_no", BigInteger, primary_key=True),
    Column("at", MOMENT, nullable=False),
    Column("day", Date, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("rules_version", Integer),
    Column("sha256", LargeBinary, nullable=False),
    Column("months", Integer, nullable=False),
    Column("is_exact", Boolean, nullable=False),
)
