"""Take in what a bank sent: its sealed bytes, its lines, and the parts that can't be read.

Lines come in batches, are copied to tables of the session, and become lines of a statement when
its frame is known, so that no file needs to fit in memory.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import evidence
from ledger.refusal import StatementRepeated
from ledger.statement import MOVED, Frame, Line, RejectedLine, Statement, movement, part_of

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a13")
# A statement of a million lines is longer at work than one SQL statement may be.
SLICE = 50_000
DIGEST_MODULUS = 2**256


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored; of a repeated file, what had been stored the first time.

    `repeats` is the first statement that says the same, under another file.
    """

    statement_id: UUID
    lines: int
    rejected: int
    repeated: bool
    repeats: UUID | None = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it came: whose it is, its SHA-256, its key that only the caller can unwrap."""

    file_digest: bytes
    wrapped_key: bytes
    partner_id: UUID
    at: datetime
    actor_id: UUID
    layout_code: str | None = None
    layout_version: int | None = None


class Staged(msgspec.Struct, kw_only=True):
    """What of a statement has been copied so far; `content` sums up its lines in any order."""

    lines: int = 0
    rejected: int = 0
    content: int = 0
    all_referenced: bool = True


_LINE_COLUMNS = {
    "line_id": "uuid",
    "source": "text",
    "ordinal": "integer",
    "status": "text",
    "direction": "text",
    "end_to_end_id": "text",
    "bank_reference": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "booked_on": "date",
    "reason": "text",
    "uetr": "text",
    "provider_id": "text",
    "batch_id": "text",
    "batch_count": "integer",
    "account_token": "text",
    "reference": "text",
    "value_on": "date",
    "fees_minor": "bigint",
    "fees_currency": "text",
}
_REJECTED_COLUMNS = {
    "position": "integer",
    "ordinal": "integer",
    "where_": "text",
    "reason": "text",
}
# Beside each line: which it is, before its account is known, and what part it plays.
_STAGED_COLUMNS = {**_LINE_COLUMNS, "movement": "bytea", "part": "text"}


def _table(name: str, columns: dict[str, str]) -> str:
    listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    return f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ({listed}) ON COMMIT DROP"


_STAGES = (
    text(_table("staged_line", _STAGED_COLUMNS)),
    text(_table("staged_rejected", _REJECTED_COLUMNS)),
    text(_table("staged_equal", {"ordinal": "integer", "nth": "bigint"})),
)
_EMPTIED = text("TRUNCATE staged_line, staged_rejected, staged_equal")

# Of lines that nothing but their content tells apart, the second is another movement.
_EQUAL = text("""
    INSERT INTO staged_equal (ordinal, nth)
    SELECT ordinal, nth FROM (
        SELECT ordinal, row_number() OVER (PARTITION BY movement ORDER BY ordinal) AS nth
        FROM staged_line WHERE bank_reference = '' AND movement IS NOT NULL) AS numbered
    WHERE nth > 1""")

_LINES = text(f"""
    INSERT INTO ledger.statement_line
        (statement_id, partner_id, identity, {", ".join(_LINE_COLUMNS)})
    SELECT :statement_id, :partner_id, CASE WHEN movement IS NOT NULL THEN CAST(substr(encode(
            sha256(convert_to(concat_ws('|', part, CAST(:account_token AS text), currency,
                encode(movement, 'hex'), coalesce(nth, 1)), 'UTF8')), 'hex'), 1, 32) AS uuid) END,
        {", ".join(column if column != "ordinal" else "l.ordinal" for column in _LINE_COLUMNS)}
    FROM staged_line AS l LEFT JOIN staged_equal AS e ON e.ordinal = l.ordinal
    WHERE l.ordinal >= :first AND l.ordinal < :after
    ORDER BY l.ordinal""")  # noqa: S608 - our own columns

_SLICED = (
    text("CREATE INDEX IF NOT EXISTS staged_line_by_ordinal ON staged_line (ordinal)"),
    text("ANALYZE staged_line"),
)
_BOUNDS = text("SELECT min(ordinal) AS first, max(ordinal) AS last FROM staged_line")

_REJECTED = text("""
    INSERT INTO ledger.rejected_line
        (statement_id, position, partner_id, ordinal, where_, reason)
    SELECT :statement_id, position, :partner_id, ordinal, where_, reason
    FROM staged_rejected ORDER BY position""")

_STATEMENT = text("""
    INSERT INTO ledger.statement (statement_id, partner_id, source, message_id,
        original_message_id, account_token, currency, sequence, booked_on, opening_minor,
        closing_minor, file_digest, wrapped_key, received_at, actor_id, repeats, content_digest,
        layout_code, layout_version)
    VALUES (:statement_id, :partner_id, :source, :message_id, :original_message_id,
        :account_token, :currency, :sequence, CAST(:booked_on AS date), :opening_minor,
        :closing_minor, :file_digest, :wrapped_key, :at, :actor_id, :repeats, :content_digest,
        :layout_code, :layout_version)
    ON CONFLICT DO NOTHING""")

_SAME_FILE = text("""
    SELECT s.statement_id, s.repeats,
        (SELECT count(*) FROM ledger.statement_line l WHERE l.statement_id = s.statement_id)
            AS lines,
        (SELECT count(*) FROM ledger.rejected_line r WHERE r.statement_id = s.statement_id)
            AS rejected
    FROM ledger.statement s
    WHERE s.partner_id = :partner_id AND s.file_digest = :file_digest""")

_SAME_MESSAGE = text("""
    SELECT statement_id FROM ledger.statement
    WHERE partner_id = :partner_id AND source = :source AND message_id = :message_id
        AND account_token = :account_token AND original_message_id = :original_message_id
        AND repeats IS NULL""")

# Two files that say the same at the same moment: one waits, and sees the other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 2))")
_SAME_CONTENT = text("""
    SELECT statement_id FROM ledger.statement
    WHERE partner_id = :partner_id AND content_digest = :content_digest AND repeats IS NULL
        AND source = :source AND account_token = :account_token AND currency = :currency
        AND sequence IS NOT DISTINCT FROM :sequence
        AND booked_on IS NOT DISTINCT FROM CAST(:booked_on AS date)
        AND opening_minor IS NOT DISTINCT FROM :opening_minor
        AND closing_minor IS NOT DISTINCT FROM :closing_minor
        AND file_digest <> :file_digest
    ORDER BY received_at, statement_id LIMIT 1""")


def statement_id_of(partner_id: UUID, file_digest: bytes) -> UUID:
    return uuid5(NAMESPACE, f"{partner_id}:{file_digest.hex()}")


def line_id(statement_id: UUID, ordinal: int) -> UUID:
    """Derive a line's id from its statement and its place in it."""
    return uuid5(statement_id, str(ordinal))


async def ingest(
    conn: AsyncConnection,
    statement: Statement,
    *,
    file_digest: bytes,
    account_token: str,
    sealed: bytes,
    wrapped_key: bytes,
    partner_id: UUID,
    at: datetime,
    actor_id: UUID,
) -> Ingested:
    """Store a statement that is in memory, with all its bytes in one sealed piece.

    `account_token` is a keyed hash of its account or "". The same file again stores nothing and
    says so. Raises StatementRepeated.
    """
    received = Received(
        file_digest=file_digest,
        wrapped_key=wrapped_key,
        partner_id=partner_id,
        at=at,
        actor_id=actor_id,
    )
    before = await known(conn, partner_id=partner_id, file_digest=file_digest)
    if before is not None:
        return before
    await begin(conn)
    staged = Staged()
    statement_id = statement_id_of(partner_id, file_digest)
    await stage(conn, (*statement.lines, *statement.rejected), staged, statement_id=statement_id)
    stored = await store(conn, statement, staged, received=received, account_token=account_token)
    if not stored.repeated:
        await evidence.keep_piece(conn, statement_id, 1, sealed=sealed, partner_id=partner_id)
    return stored


async def known(conn: AsyncConnection, *, partner_id: UUID, file_digest: bytes) -> Ingested | None:
    """Return what was stored of this very file, or None."""
    facts = {"partner_id": partner_id, "file_digest": file_digest}
    row = (await conn.execute(_SAME_FILE, facts)).mappings().one_or_none()
    return None if row is None else msgspec.convert({**row, "repeated": True}, Ingested)


async def begin(conn: AsyncConnection) -> None:
    """Make ready for the lines of a statement; what was staged and not stored is gone."""
    for table in _STAGES:
        await conn.execute(table)
    await conn.execute(_EMPTIED)


async def stage(
    conn: AsyncConnection,
    parts: Sequence[Line | RejectedLine],
    staged: Staged,
    *,
    statement_id: UUID,
) -> None:
    """Copy some lines of the statement, in the order of the file, and add them to `staged`."""
    driver = (await conn.get_raw_connection()).driver_connection
    # A copy outside of a transaction would stand whatever becomes of the file.
    assert driver is not None
    assert driver.is_in_transaction()
    lines, rejected = [], []
    for part in parts:
        if isinstance(part, Line):
            lines.append(_line_row(statement_id, part, staged))
        else:
            staged.rejected += 1
            rejected.append((staged.rejected, part.ordinal, part.where, part.reason))
    for table, columns, rows in (
        ("staged_line", _STAGED_COLUMNS, lines),
        ("staged_rejected", _REJECTED_COLUMNS, rejected),
    ):
        if rows:
            await driver.copy_records_to_table(table, records=rows, columns=list(columns))


async def store(
    conn: AsyncConnection,
    frame: Frame,
    staged: Staged,
    *,
    received: Received,
    account_token: str,
) -> Ingested:
    """Make a statement of its frame and what was staged; then the stage is empty again.

    Raises StatementRepeated for another file with a message id that was taken in before, unless
    it says the same as that one: then it is kept, and marked as repeating it.
    """
    statement_id = statement_id_of(received.partner_id, received.file_digest)
    row = _statement_row(frame, staged, received) | {"account_token": account_token}
    row["repeats"] = await _said_before(conn, row, staged)
    if (await conn.execute(_STATEMENT, row)).rowcount == 0:
        return await _repeated(conn, row)
    await conn.execute(_EQUAL)
    bounds = (await conn.execute(_BOUNDS)).one()
    if bounds.first is not None:
        if bounds.last - bounds.first >= SLICE:
            # So that each slice finds its own lines and does not read all of them.
            for prepared in _SLICED:
                await conn.execute(prepared)
        for first in range(bounds.first, bounds.last + 1, SLICE):
            await conn.execute(_LINES, row | {"first": first, "after": first + SLICE})
    await conn.execute(_REJECTED, row)
    await conn.execute(_EMPTIED)
    return Ingested(
        statement_id=statement_id,
        lines=staged.lines,
        rejected=staged.rejected,
        repeated=False,
        repeats=row["repeats"],  # type: ignore[arg-type]
    )


def _statement_row(frame: Frame, staged: Staged, received: Received) -> dict[str, object]:
    digest = sha256(b"%d %d" % (staged.lines, staged.content)).digest()
    return msgspec.structs.asdict(received) | {
        "statement_id": statement_id_of(received.partner_id, received.file_digest),
        "source": frame.source,
        "message_id": frame.message_id,
        "original_message_id": frame.original_message_id,
        "currency": frame.currency,
        "sequence": frame.sequence,
        "booked_on": frame.booked_on,
        "opening_minor": None if frame.opening is None else frame.opening.amount_minor,
        "closing_minor": None if frame.closing is None else frame.closing.amount_minor,
        "content_digest": digest,
    }


def _line_row(statement_id: UUID, line: Line, staged: Staged) -> tuple[object, ...]:
    """Return the values of _STAGED_COLUMNS, and add the line to what is staged."""
    moved = line.status in MOVED
    digest = sha256(movement(line).encode()).digest()
    said = f"{line.status}\x1f{line.reason}\x1f{line.end_to_end_id}".encode()
    content = int.from_bytes(sha256(digest + said).digest(), "big")
    staged.content = (staged.content + content) % DIGEST_MODULUS
    staged.lines += 1
    staged.all_referenced = staged.all_referenced and line.bank_reference != ""
    money, fees = line.money, line.fees
    return (
        line_id(statement_id, line.ordinal),
        line.source,
        line.ordinal,
        line.status,
        line.direction,
        line.end_to_end_id,
        line.bank_reference,
        None if money is None else money.amount_minor,
        None if money is None else money.currency,
        line.booked_on,
        line.reason,
        line.uetr,
        line.provider_id,
        line.batch_id,
        line.batch_count,
        line.account_token,
        line.reference,
        line.value_on,
        None if fees is None else fees.amount_minor,
        None if fees is None else fees.currency,
        digest[:16] if moved else None,
        part_of(line.source, line.status),
    )


async def _said_before(
    conn: AsyncConnection, row: dict[str, object], staged: Staged
) -> UUID | None:
    """Return the first statement that says the same as this one under another file, or None.

    Without balances, and without references of the bank, two that are equal may both be real.
    """
    framed = row["opening_minor"] is not None and row["closing_minor"] is not None
    told = staged.lines > 0 and staged.all_referenced
    if row["account_token"] == "" or not (framed or told):
        return None
    name = f"{row['partner_id']}|{row['account_token']}|{row['currency']}"
    await conn.execute(_LOCK, {"name": name})
    found: UUID | None = (await conn.execute(_SAME_CONTENT, row)).scalar_one_or_none()
    return found


async def _repeated(conn: AsyncConnection, row: dict[str, object]) -> Ingested:
    await conn.execute(_EMPTIED)
    same_file = (await conn.execute(_SAME_FILE, row)).mappings().one_or_none()
    if same_file is not None:
        return msgspec.convert({**same_file, "repeated": True}, Ingested)
    earlier = (await conn.execute(_SAME_MESSAGE, row)).scalar_one()
    raise StatementRepeated(statement_id=earlier)
