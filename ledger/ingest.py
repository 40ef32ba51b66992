"""Take in what a bank sent: its sealed bytes, its lines, and the parts that can't be read."""

from datetime import date, datetime
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.refusal import StatementRepeated
from ledger.statement import Line, Statement

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a13")


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored; of a repeated file, what had been stored the first time."""

    statement_id: UUID
    lines: int
    rejected: int
    repeated: bool


_STATEMENT = text("""
    INSERT INTO ledger.statement (statement_id, partner_id, source, message_id,
        original_message_id, account_token, currency, sequence, booked_on, opening_minor,
        closing_minor, file_digest, sealed, wrapped_key, received_at, actor_id)
    VALUES (:statement_id, :partner_id, :source, :message_id, :original_message_id,
        :account_token, :currency, :sequence, CAST(:booked_on AS date), :opening_minor,
        :closing_minor, :file_digest, :sealed, :wrapped_key, :at, :actor_id)
    ON CONFLICT DO NOTHING""")

_SAME_FILE = text("""
    SELECT s.statement_id,
        (SELECT count(*) FROM ledger.statement_line l WHERE l.statement_id = s.statement_id)
            AS lines,
        (SELECT count(*) FROM ledger.rejected_line r WHERE r.statement_id = s.statement_id)
            AS rejected
    FROM ledger.statement s
    WHERE s.partner_id = :partner_id AND s.file_digest = :file_digest""")

_SAME_MESSAGE = text("""
    SELECT statement_id FROM ledger.statement
    WHERE partner_id = :partner_id AND source = :source AND message_id = :message_id
        AND account_token = :account_token AND original_message_id = :original_message_id""")

_LINES = text("""
    INSERT INTO ledger.statement_line (line_id, statement_id, partner_id, source, ordinal, status,
        direction, end_to_end_id, bank_reference, amount_minor, currency, booked_on, reason,
        uetr, provider_id, batch_id, batch_count, account_token, reference, value_on)
    SELECT line_id, :statement_id, :partner_id, source, ordinal, status, direction,
        end_to_end_id, bank_reference, amount_minor, currency, booked_on, reason,
        uetr, provider_id, batch_id, batch_count, account_token, reference, value_on
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (line_id uuid, source text, ordinal integer, status text, direction text,
         end_to_end_id text, bank_reference text, amount_minor bigint, currency text,
         booked_on date, reason text, uetr text, provider_id text, batch_id text,
         batch_count integer, account_token text, reference text, value_on date)
    ORDER BY ordinal""")

_REJECTED = text("""
    INSERT INTO ledger.rejected_line
        (statement_id, position, partner_id, ordinal, where_, reason)
    SELECT :statement_id, position, :partner_id, ordinal, where_, reason
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (position integer, ordinal integer, where_ text, reason text)
    ORDER BY position""")


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
    """Store a statement and its lines; the same file again stores nothing and says so.

    `file_digest` is the SHA-256 of the file, `sealed` its bytes under a key that only the caller
    can unwrap, `account_token` a keyed hash of the account or "".
    Raises StatementRepeated for another file with a message id that was taken in before.
    """
    statement_id = uuid5(NAMESPACE, f"{partner_id}:{file_digest.hex()}")
    row = _statement_row(statement) | {
        "statement_id": statement_id,
        "partner_id": partner_id,
        "account_token": account_token,
        "file_digest": file_digest,
        "sealed": sealed,
        "wrapped_key": wrapped_key,
        "at": at,
        "actor_id": actor_id,
    }
    if (await conn.execute(_STATEMENT, row)).rowcount == 0:
        return await _repeated(conn, row)
    facts = {"statement_id": statement_id, "partner_id": partner_id}
    lines = [_line_row(statement_id, line) for line in statement.lines]
    await conn.execute(_LINES, facts | {"rows": msgspec.json.encode(lines).decode()})
    rejected = [
        {"position": n, "ordinal": part.ordinal, "where_": part.where, "reason": part.reason}
        for n, part in enumerate(statement.rejected, start=1)
    ]
    if rejected:
        await conn.execute(_REJECTED, facts | {"rows": msgspec.json.encode(rejected).decode()})
    return Ingested(
        statement_id=statement_id, lines=len(lines), rejected=len(rejected), repeated=False
    )


def _statement_row(statement: Statement) -> dict[str, object]:
    return {
        "source": statement.source,
        "message_id": statement.message_id,
        "original_message_id": statement.original_message_id,
        "currency": statement.currency,
        "sequence": statement.sequence,
        "booked_on": statement.booked_on,
        "opening_minor": None if statement.opening is None else statement.opening.amount_minor,
        "closing_minor": None if statement.closing is None else statement.closing.amount_minor,
    }


def _line_row(statement_id: UUID, line: Line) -> dict[str, object | date]:
    row = msgspec.structs.asdict(line)
    money = row.pop("money")
    # The other side's account is known by its keyed hash alone.
    del row["account"], row["fees"], row["identity"]
    return row | {
        "line_id": line_id(statement_id, line.ordinal),
        "amount_minor": None if money is None else money.amount_minor,
        "currency": None if money is None else money.currency,
    }


async def _repeated(conn: AsyncConnection, row: dict[str, object]) -> Ingested:
    same_file = (await conn.execute(_SAME_FILE, row)).mappings().one_or_none()
    if same_file is not None:
        return msgspec.convert(dict(same_file) | {"repeated": True}, Ingested)
    earlier = (await conn.execute(_SAME_MESSAGE, row)).scalar_one()
    raise StatementRepeated(statement_id=earlier)
