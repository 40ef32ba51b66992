"""The tables of notices and webhooks, beside the others of the schema `cbi`."""

from sqlalchemy import Column, Date, Integer, LargeBinary, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from cbi.tables import MOMENT, metadata

webhook = Table(
    "webhook",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("url", Text, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("added_by", Uuid, nullable=False),
    Column("added_at", MOMENT, nullable=False),
)
webhook_end = Table(
    "webhook_end",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("because", Text, nullable=False),
    Column("ended_at", MOMENT, nullable=False),
)
notice = Table(
    "notice",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("about", Uuid, nullable=False),
    Column("day", Date, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("made_at", MOMENT, nullable=False),
)
delivery = Table(
    "delivery",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("attempt_no", SmallInteger, primary_key=True),
    Column("previous", SmallInteger),
    Column("partner_id", Uuid, nullable=False),
    Column("webhook_id", Uuid, nullable=False),
    Column("began_at", MOMENT, nullable=False),
    Column("lease_until", MOMENT, nullable=False),
)
delivery_end = Table(
    "delivery_end",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("attempt_no", SmallInteger, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("why", Text, nullable=False),
    Column("status", SmallInteger),
    Column("ended_at", MOMENT, nullable=False),
    Column("again_at", MOMENT),
)
delivery_slot = Table(
    "delivery_slot",
    metadata,
    Column("partner_id", Uuid, primary_key=True),
    Column("household_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("slot_no", SmallInteger, primary_key=True),
    Column("notice_id", Uuid, nullable=False),
)
notice_due = Table(
    "notice_due",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("due_at", MOMENT, nullable=False),
)
notice_page = Table(
    "notice_page",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("page_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("made_at", MOMENT, nullable=False),
)
message_text = Table(
    "message_text",
    metadata,
    Column("text_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("previous", Integer),
    Column("words", Text, nullable=False),
    Column("contact", Text),
    Column("open_to", Text),
    Column("effective_from", Date, nullable=False),
    Column("proposed_by", Uuid, nullable=False),
    Column("proposed_at", MOMENT, nullable=False),
)
message_text_approval = Table(
    "message_text_approval",
    metadata,
    Column("text_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("proposed_by", Uuid, nullable=False),
    Column("approved_by", Uuid, nullable=False),
    Column("approved_at", MOMENT, nullable=False),
)
