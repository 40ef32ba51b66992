"""The tables of slips and appeals, beside the others of the schema `cbi`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from cbi.tables import MOMENT, metadata

slip = Table(
    "slip",
    metadata,
    Column("slip_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid),
    Column("of_whom", Uuid),
    Column("reference", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_block", Boolean, nullable=False),
    Column("assistance_group", Text),
    Column("case_id", Uuid),
    Column("enrolment_id", Uuid),
    Column("round_id", Uuid),
    Column("issued_by", Uuid, nullable=False),
    Column("issued_at", MOMENT, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("appeal_until", Date, nullable=False),
)
slip_group = Table(
    "slip_group",
    metadata,
    Column("slip_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("document_group", Text),
    Column("language", Text),
)
slip_print = Table(
    "slip_print",
    metadata,
    Column("slip_id", Uuid, primary_key=True),
    Column("print_no", SmallInteger, primary_key=True),
    Column("previous", SmallInteger),
    Column("partner_id", Uuid, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("printed_by", Uuid, nullable=False),
    Column("printed_at", MOMENT, nullable=False),
)
appeal = Table(
    "appeal",
    metadata,
    Column("appeal_id", Uuid, primary_key=True),
    Column("slip_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("intake_partner_id", Uuid, nullable=False),
    Column("taken_by", Uuid, nullable=False),
    Column("taken_at", MOMENT, nullable=False),
    Column("by_token", Boolean, nullable=False),
    Column("language", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("contact", Boolean, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
appeal_assignment = Table(
    "appeal_assignment",
    metadata,
    Column("assignment_no", BigInteger, primary_key=True),
    Column("appeal_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("reviewer_partner_id", Uuid, nullable=False),
    Column("reviewer_actor_id", Uuid),
    Column("assigned_by", Uuid, nullable=False),
    Column("assigned_at", MOMENT, nullable=False),
)
appeal_outcome = Table(
    "appeal_outcome",
    metadata,
    Column("appeal_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("assignment_no", BigInteger, nullable=False),
    Column("reviewer_partner_id", Uuid, nullable=False),
    Column("reviewer_actor_id", Uuid, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("reverses", Boolean, nullable=False),
    Column("decided_at", MOMENT, nullable=False),
)
appeal_effect = Table(
    "appeal_effect",
    metadata,
    Column("appeal_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("reverses", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("case_id", Uuid),
    Column("act_by", Date),
    Column("begun_at", MOMENT, nullable=False),
    Column("entitles_to", Text),
)
appeal_done = Table(
    "appeal_done",
    metadata,
    Column("appeal_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("done_at", MOMENT, nullable=False),
    Column("household_id", Uuid),
)
appeal_key = Table(
    "appeal_key",
    metadata,
    Column("appeal_id", Uuid, primary_key=True),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
appeal_reading = Table(
    "appeal_reading",
    metadata,
    Column("reading_no", BigInteger, primary_key=True),
    Column("appeal_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("at", MOMENT, nullable=False),
)
appeal_try = Table(
    "appeal_try",
    metadata,
    Column("try_no", BigInteger, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("day", Date, nullable=False),
)
