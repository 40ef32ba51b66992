"""The tables of overlap rules and of what is held by them, beside the others of `cbi`."""

from sqlalchemy import Boolean, Column, Date, Integer, LargeBinary, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import DATERANGE, JSONB, TSTZRANGE

from cbi.tables import MOMENT, metadata

overlap_rules = Table(
    "overlap_rules",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("proposed_by", Uuid, nullable=False),
    Column("proposed_at", MOMENT, nullable=False),
)
overlap_approval = Table(
    "overlap_approval",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("partner_id", Uuid, primary_key=True),
    Column("actor_id", Uuid, nullable=False),
    Column("proposed_by", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
)
hold = Table(
    "hold",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("beneficiary_id", Uuid, nullable=False),
    Column("assistance", Text, nullable=False),
    Column("promised", DATERANGE, nullable=False),
    Column("months", DATERANGE, nullable=False),
    Column("standing", TSTZRANGE, nullable=False),
    Column("held_on", Date, nullable=False),
    Column("held_at", MOMENT, nullable=False),
    Column("enrolment_id", Uuid),
    Column("reservation_id", Uuid),
    Column("entitlement_id", Uuid),
    Column("before_hold", Uuid),
)
hold_pair = Table(
    "hold_pair",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("pair", Text, primary_key=True),
    Column("side", Text, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("beneficiary_id", Uuid, nullable=False),
    Column("months", DATERANGE, nullable=False),
    Column("standing", TSTZRANGE, nullable=False),
    Column("rules_version", Integer, nullable=False),
)
reservation = Table(
    "reservation",
    metadata,
    Column("reservation_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("programme_id", Uuid),
    Column("assistance", Text, nullable=False),
    Column("months", DATERANGE, nullable=False),
    Column("reserved_at", MOMENT, nullable=False),
    Column("reserved_by", Uuid, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
)
reservation_event = Table(
    "reservation_event",
    metadata,
    Column("reservation_id", Uuid, primary_key=True),
    Column("event_no", SmallInteger, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("expires_at", MOMENT),
    Column("enrolment_id", Uuid),
)
waiting = Table(
    "waiting",
    metadata,
    Column("waiting_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("assistance", Text, nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("entered_by", Uuid, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
)
waiting_withdrawal = Table(
    "waiting_withdrawal",
    metadata,
    Column("waiting_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
)
conflict = Table(
    "conflict",
    metadata,
    Column("conflict_id", Uuid, primary_key=True),
    Column("earlier_hold", Uuid, nullable=False),
    Column("later_hold", Uuid, nullable=False),
    Column("earlier_partner", Uuid, nullable=False),
    Column("later_partner", Uuid, nullable=False),
    Column("case_id", Uuid, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
)
conflict_decision = Table(
    "conflict_decision",
    metadata,
    Column("conflict_id", Uuid, primary_key=True),
    Column("decision_no", SmallInteger, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("ends", Date),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_alone", Boolean, nullable=False),
)
conflict_confirmation = Table(
    "conflict_confirmation",
    metadata,
    Column("conflict_id", Uuid, primary_key=True),
    Column("decision_no", SmallInteger, primary_key=True),
    Column("decided_by", Uuid, nullable=False),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("at", MOMENT, nullable=False),
)
