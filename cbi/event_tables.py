"""The tables of what happened to households, beside the others of the schema `cbi`."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE

from cbi.tables import MOMENT, metadata

household_event = Table(
    "household_event",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("household_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("consent", Text),
    Column("happened_on", Date, nullable=False),
    Column("persons_in", SmallInteger, nullable=False),
    Column("persons_out", SmallInteger, nullable=False),
    Column("other_household_id", Uuid),
    Column("note", LargeBinary),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("transaction_no", BigInteger, nullable=False),
)
household_version = Table(
    "household_version",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("content_key", LargeBinary, nullable=False),
    Column("ubigeo", Text, nullable=False),
    Column("population_type", Text, nullable=False),
    Column("size", SmallInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
person_version = Table(
    "person_version",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("gone", Text),
)
person_succession = Table(
    "person_succession",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("successor_id", Uuid, nullable=False),
)
transfer_offer = Table(
    "transfer_offer",
    metadata,
    Column("offer_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("to_partner_id", Uuid, nullable=False),
    Column("ubigeo", Text, nullable=False),
    Column("size", SmallInteger, nullable=False),
    Column("text_version", Text, nullable=False),
    Column("offered_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
)
transfer_answer = Table(
    "transfer_answer",
    metadata,
    Column("offer_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("to_partner_id", Uuid, nullable=False),
    Column("answer", Text, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("transaction_no", BigInteger, nullable=False),
)
succession = Table(
    "succession",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("household_a", Uuid, nullable=False),
    Column("household_b", Uuid, nullable=False),
)
split_promise = Table(
    "split_promise",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("entitlement_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("assistance_group", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("months", DATERANGE, nullable=False),
)
retained = Table(
    "retained",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("household_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("keys", ARRAY(BigInteger), nullable=False),
    Column("stands_for", Uuid),
    Column("since", MOMENT, nullable=False),
)
