"""The tables of the schema `cbi`, as the verbs see them; constraints live in the migrations."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import DATERANGE

metadata = MetaData(schema="cbi")
MOMENT = DateTime(timezone=True)


def _table(name: str, *columns: Column[object]) -> Table:
    return Table(name, metadata, *columns)


partner = _table(
    "partner",
    Column("partner_id", Uuid, primary_key=True),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
actor = _table(
    "actor",
    Column("actor_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("handle", Text, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
api_key = _table(
    "api_key",
    Column("key_id", Uuid, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("area", Text, nullable=False),
    Column("issued_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
)
household = _table(
    "household",
    Column("household_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("reference_key", BigInteger, nullable=False),
    Column("content_key", LargeBinary, nullable=False),
    Column("ubigeo", Text, nullable=False),
    Column("population_type", Text, nullable=False),
    Column("size", SmallInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    Column("registered_by", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ended_at", MOMENT),
)
data_key = _table(
    "data_key",
    Column("household_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
person = _table(
    "person",
    Column("person_id", Uuid, primary_key=True),
    Column("household_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("ordinal", SmallInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("gone", Text),
)
specific_need = _table(
    "specific_need",
    Column("person_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("version", Integer, primary_key=True),
)
consent = _table(
    "consent",
    Column("household_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kind", Text, primary_key=True),
    Column("granted", Boolean, nullable=False),
    Column("text_version", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("given_on", Date, nullable=False),
    Column("withdrawn_on", Date),
    Column("recorded_at", MOMENT, primary_key=True),
)
membership = _table(
    "membership",
    Column("membership_no", BigInteger, primary_key=True),
    Column("household_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("beneficiary_id", Uuid, nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("case_id", Uuid),
)
access_log = _table(
    "access_log",
    Column("access_no", BigInteger, primary_key=True),
    Column("at", MOMENT, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("household_id", Uuid, nullable=False),
)
duplicate_check = _table(
    "duplicate_check",
    Column("check_no", BigInteger, primary_key=True),
    Column("at", MOMENT, nullable=False),
    Column("day", Date, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("persons", Integer, nullable=False),
    Column("clear", Integer, nullable=False),
    Column("review", Integer, nullable=False),
    Column("unsearchable", Integer, nullable=False),
)
answer = _table(
    "answer",
    Column("actor_id", Uuid, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("route", Text, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("answered_at", MOMENT, nullable=False),
)
programme = _table(
    "programme",
    Column("programme_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("assistance_group", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payer_name", Text, nullable=False),
    Column("payer_agent", Text, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
payer_account = _table(
    "payer_account",
    Column("programme_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("token", Text, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
transfer_value = _table(
    "transfer_value",
    Column("programme_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("household_size", SmallInteger, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("approved_by", Uuid, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
enrolment = _table(
    "enrolment",
    Column("enrolment_id", Uuid, primary_key=True),
    Column("programme_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("beneficiary_id", Uuid, nullable=False),
    Column("assistance_group", Text, nullable=False),
    Column("instrument_kind", Text, nullable=False),
    Column("enrolled_at", MOMENT, nullable=False),
    Column("enrolled_by", Uuid, nullable=False),
    Column("closed_at", MOMENT),
)
round_ = _table(
    "round",
    Column("round_id", Uuid, primary_key=True),
    Column("programme_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("months", DATERANGE, nullable=False),
    Column("pays_on", Date, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
    Column("opened_by", Uuid, nullable=False),
)
entitlement = _table(
    "entitlement",
    Column("entitlement_id", Uuid, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("enrolment_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("beneficiary_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("assistance_group", Text, nullable=False),
    Column("months", DATERANGE, nullable=False),
    Column("household_size", SmallInteger, nullable=False),
    Column("value_version", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("computed_at", MOMENT, nullable=False),
    Column("cancelled_at", MOMENT),
    Column("cancelled_by", Uuid),
    Column("cancelled_because", Text),
)
round_step = _table(
    "round_step",
    Column("round_id", Uuid, primary_key=True),
    Column("step", SmallInteger, primary_key=True),
    Column("previous", SmallInteger),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("list_digest", LargeBinary, nullable=False),
)
left_out = _table(
    "left_out",
    Column("round_id", Uuid, primary_key=True),
    Column("enrolment_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
)
calculation_page = _table(
    "calculation_page",
    Column("round_id", Uuid, primary_key=True),
    Column("page_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("upto_enrolment", Uuid, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("is_last", Boolean, nullable=False),
    Column("expected", Integer, nullable=False),
)
funding = _table(
    "funding",
    Column("round_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("list_digest", LargeBinary, nullable=False),
    Column("cancelled_payments", Integer, nullable=False),
    Column("cancelled_minor", BigInteger, nullable=False),
    Column("approved", SmallInteger),
)
chunk = _table(
    "chunk",
    Column("round_id", Uuid, primary_key=True),
    Column("list_digest", LargeBinary, primary_key=True),
    Column("chunk_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("after_payment", Uuid, nullable=False),
    Column("upto_payment", Uuid, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("first_part", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
)
bulk_access = _table(
    "bulk_access",
    Column("bulk_access_no", BigInteger, primary_key=True),
    Column("at", MOMENT, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("after_household", Uuid, nullable=False),
    Column("upto_household", Uuid, nullable=False),
    Column("households", Integer, nullable=False),
    Column("left_out", ARRAY(Uuid), nullable=False),
)
followup = _table(
    "followup",
    Column("followup_id", Uuid, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("followup_no", Integer, nullable=False),
    Column("pays_on", Date, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("opened_by", Uuid, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
    Column("released", SmallInteger),
)
followup_payment = _table(
    "followup_payment",
    Column("followup_id", Uuid, primary_key=True),
    Column("payment_id", Uuid, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("after_return", Boolean, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("voided_no", Integer),
    Column("voided", Text),
    Column("returned_no", Integer),
)
followup_left_out = _table(
    "followup_left_out",
    Column("followup_id", Uuid, primary_key=True),
    Column("payment_id", Uuid, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
)
followup_step = _table(
    "followup_step",
    Column("followup_id", Uuid, primary_key=True),
    Column("step", SmallInteger, primary_key=True),
    Column("previous", SmallInteger),
    Column("round_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("list_digest", LargeBinary, nullable=False),
)
expiry = _table(
    "expiry",
    Column("payment_id", Uuid, primary_key=True),
    Column("attempt_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("because", Text, nullable=False),
    Column("claim_days", Integer, nullable=False),
)
expiry_confirmation = _table(
    "expiry_confirmation",
    Column("payment_id", Uuid, primary_key=True),
    Column("attempt_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("proposed_by", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
)
