"""The tables of lists to check and of checked rounds, beside the others of the schema `cbi`."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import DATERANGE

from cbi.tables import MOMENT, metadata

check_list = Table(
    "check_list",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("until", Date, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
    Column("opened_by", Uuid, nullable=False),
)
round_check_page = Table(
    "round_check_page",
    metadata,
    Column("round_id", Uuid, primary_key=True),
    Column("check_no", Integer, primary_key=True),
    Column("page_no", Integer, primary_key=True),
    Column("previous", Integer),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("begun_at", MOMENT, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("upto_payment", Uuid, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("unread", Integer, nullable=False),
    Column("cases", Integer, nullable=False),
    Column("is_last", Boolean, nullable=False),
    Column("list_digest", LargeBinary),
)
followup_check_page = Table(
    "followup_check_page",
    metadata,
    Column("followup_id", Uuid, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("check_no", Integer, primary_key=True),
    Column("page_no", Integer, primary_key=True),
    Column("previous", Integer),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("begun_at", MOMENT, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("upto_payment", Uuid, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("unread", Integer, nullable=False),
    Column("cases", Integer, nullable=False),
    Column("is_last", Boolean, nullable=False),
    Column("list_digest", LargeBinary),
)
check_file = Table(
    "check_file",
    metadata,
    Column("file_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("area", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("ubigeo_system", Text),
    Column("purpose", Text, nullable=False),
    Column("list_id", Uuid),
    Column("programme_id", Uuid),
    Column("round_id", Uuid),
    Column("assistance", Text),
    Column("months", DATERANGE),
    Column("received_at", MOMENT, nullable=False),
    Column("kept_until", MOMENT, nullable=False),
)
check_file_key = Table(
    "check_file_key",
    metadata,
    Column("file_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
check_file_piece = Table(
    "check_file_piece",
    metadata,
    Column("file_id", Uuid, primary_key=True),
    Column("what", Text, primary_key=True),
    Column("piece_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
check_quota = Table(
    "check_quota",
    metadata,
    Column("quota_no", BigInteger, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("persons_per_day", Integer, nullable=False),
    Column("until", Date, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("set_by", Uuid, nullable=False),
    Column("request_id", Text, nullable=False),
)
