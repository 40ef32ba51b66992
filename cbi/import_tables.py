"""The tables of imported files, beside the others of the schema `cbi`."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from cbi.tables import MOMENT, metadata

import_file = Table(
    "import_file",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("actor_id", Uuid, nullable=False),
    Column("area", Text, nullable=False),
    Column("file_digest", LargeBinary, nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("format", Text, nullable=False),
    Column("ubigeo_system", Text, nullable=False),
    Column("accept_valid", Boolean, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
)
import_key = Table(
    "import_key",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
import_piece = Table(
    "import_piece",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("piece_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
import_row = Table(
    "import_row",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("line", Integer, nullable=False),
    Column("sheet", Text, nullable=False),
    Column("faults", JSONB, nullable=False),
    Column("sealed", LargeBinary),
    Column("taken_on", Date),
    Column("masked", LargeBinary),
)
import_check = Table(
    "import_check",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("strength", Text),
    Column("matches", Integer, nullable=False),
    Column("why", Text),
    Column("persons", SmallInteger, nullable=False),
    Column("checked_at", MOMENT, nullable=False),
)
import_decision = Table(
    "import_decision",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("take", Text, nullable=False),
    Column("rows", ARRAY(Integer), nullable=False),
    Column("decided_by", Uuid, nullable=False),
    Column("decided_at", MOMENT, nullable=False),
)
import_outcome = Table(
    "import_outcome",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True),
    Column("partner_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("household_id", Uuid),
    Column("is_known", Boolean, nullable=False),
    Column("is_changed", Boolean, nullable=False),
    Column("refusal", Text),
    Column("at", MOMENT, nullable=False),
)
submission = Table(
    "submission",
    metadata,
    Column("partner_id", Uuid, primary_key=True),
    Column("instance_key", BigInteger, primary_key=True),
    Column("household_id", Uuid, nullable=False),
    Column("replaces_key", BigInteger),
    Column("at", MOMENT, nullable=False),
)
