"""Open attempts and record how they ended. What is refused here, a constraint refuses."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.attempt import Attempt, Giveback, Outcome
from ledger.refusal import AttemptRefused, LedgerRefusal, OutcomeConflict
from ledger.violation import constraint_of

ATTEMPTS_MAX = 10_000

_OPEN = text("""
    INSERT INTO ledger.attempt
        (payment_id, attempt_no, partner_id, end_to_end_id, amount_minor, currency, after_return,
         opened_at)
    SELECT payment_id, attempt_no, :partner_id, end_to_end_id, amount_minor, currency, after_return,
        :at
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (payment_id uuid, attempt_no integer, end_to_end_id text, amount_minor bigint,
         currency text, after_return boolean)
    ORDER BY payment_id, attempt_no
    ON CONFLICT (payment_id, attempt_no) DO NOTHING""")

_OUTCOMES = text("""
    INSERT INTO ledger.outcome
        (payment_id, attempt_no, partner_id, outcome, part_minor, reason, line_id, decided_at)
    SELECT payment_id, attempt_no, :partner_id, outcome, part_minor, reason, line_id, :at
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (payment_id uuid, attempt_no integer, outcome text, part_minor bigint, reason text,
         line_id uuid)
    ORDER BY payment_id, attempt_no
    ON CONFLICT (payment_id, attempt_no) DO NOTHING""")

_GIVEBACKS = text("""
    INSERT INTO ledger.giveback
        (payment_id, attempt_no, partner_id, reason, line_id, recorded_at)
    SELECT payment_id, attempt_no, :partner_id, reason, line_id, :at
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (payment_id uuid, attempt_no integer, reason text, line_id uuid)
    ORDER BY payment_id, attempt_no
    ON CONFLICT (payment_id, attempt_no) DO NOTHING""")

_PAYEES = text("""
    INSERT INTO ledger.payee (payment_id, attempt_no, partner_id, account_token)
    SELECT payment_id, attempt_no, :partner_id, account_token
    FROM unnest(CAST(:payment_ids AS uuid[]), CAST(:attempt_nos AS integer[]),
        CAST(:account_tokens AS text[])) AS new(payment_id, attempt_no, account_token)
    ORDER BY payment_id ON CONFLICT DO NOTHING""")

# What stands there now, beside every attempt that was asked for.
_NOW = text("""
    SELECT asked.payment_id, asked.attempt_no, a.end_to_end_id, a.amount_minor, a.currency,
        a.after_return, o.outcome, o.part_minor,
        CASE WHEN asked.after_return THEN back.payment_id IS NOT NULL
            ELSE before.outcome IS NOT DISTINCT FROM 'void' END AS is_free,
        CASE WHEN a.payment_id IS NULL THEN (SELECT true FROM ledger.attempt other
            WHERE other.end_to_end_id = asked.end_to_end_id) END AS taken
    FROM json_to_recordset(CAST(:rows AS json)) AS asked
        (payment_id uuid, attempt_no integer, end_to_end_id text, after_return boolean)
    LEFT JOIN ledger.attempt a USING (payment_id, attempt_no)
    LEFT JOIN ledger.outcome o USING (payment_id, attempt_no)
    LEFT JOIN ledger.outcome before
        ON before.payment_id = asked.payment_id AND before.attempt_no = asked.attempt_no - 1
    LEFT JOIN ledger.giveback back
        ON back.payment_id = asked.payment_id AND back.attempt_no = asked.attempt_no - 1
    ORDER BY asked.payment_id, asked.attempt_no""")


async def open_attempts(
    conn: AsyncConnection, attempts: Sequence[Attempt], *, partner_id: UUID, at: datetime
) -> int:
    """Open the attempts, all or none, and return how many were new; the same again is no news.

    Raises AttemptRefused: the attempt before it has no void outcome (attempt_after_void) or did not
    come back (attempt_after_return), its end-to-end id is taken (attempt_end_to_end_id_once), or it
    is open with another content (attempt_pkey).
    """
    rows = [_attempt_row(attempt) for attempt in attempts]

    def culprit(row: RowMapping) -> bool:
        if row["attempt_no"] > 1 and not row["is_free"]:
            return True
        return row["taken"] is not None

    opened = await _insert(conn, _OPEN, rows, partner_id=partner_id, at=at, culprit=culprit)
    if opened < len(rows):
        for row, now in await _beside(conn, rows):
            if any(
                row[name] != now[name]
                for name in ("end_to_end_id", "amount_minor", "currency", "after_return")
            ):
                raise _refused(now, "attempt_pkey")
    return opened


async def record_payees(
    conn: AsyncConnection, tokens: Mapping[tuple[UUID, int], str], *, partner_id: UUID
) -> None:
    """Record which account each attempt is to be paid to, as a keyed hash; the first stays."""
    if tokens:
        facts = {
            "payment_ids": [payment_id for payment_id, _ in tokens],
            "attempt_nos": [attempt_no for _, attempt_no in tokens],
            "account_tokens": list(tokens.values()),
        }
        await conn.execute(_PAYEES, {**facts, "partner_id": partner_id})


async def record_outcomes(
    conn: AsyncConnection, outcomes: Sequence[Outcome], *, partner_id: UUID, at: datetime
) -> int:
    """Record how attempts ended, all or none, and return how many were new.

    The same outcome again is no news, whatever its evidence: the first stays. Raises
    OutcomeConflict for another one, AttemptRefused for an attempt that is not open here or is not
    larger than what was delivered of it (outcome_part_of_attempt).
    """
    rows = [_outcome_row(outcome) for outcome in outcomes]
    await _same_currency(conn, outcomes)
    recorded = await _insert(
        conn,
        _OUTCOMES,
        rows,
        partner_id=partner_id,
        at=at,
        culprit=lambda row: row["end_to_end_id"] is None,
    )
    if recorded < len(rows):
        for row, now in await _beside(conn, rows):
            if any(row[name] != now[name] for name in ("outcome", "part_minor")):
                raise OutcomeConflict(payment_id=now["payment_id"], attempt_no=now["attempt_no"])
    return recorded


async def record_returns(
    conn: AsyncConnection, returns: Sequence[Giveback], *, partner_id: UUID, at: datetime
) -> int:
    """Record which delivered attempts came back, all or none, and return how many were new.

    Raises AttemptRefused (giveback_after_delivery) for one that was never delivered.
    """
    return await _insert(
        conn,
        _GIVEBACKS,
        [msgspec.structs.asdict(giveback) for giveback in returns],
        partner_id=partner_id,
        at=at,
        culprit=lambda row: row["outcome"] != "post",
    )


def _attempt_row(attempt: Attempt) -> dict[str, object]:
    return {
        "payment_id": attempt.payment_id,
        "attempt_no": attempt.attempt_no,
        "end_to_end_id": attempt.end_to_end_id,
        "amount_minor": attempt.money.amount_minor,
        "currency": attempt.money.currency,
        "after_return": attempt.after_return,
    }


async def _same_currency(conn: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    """Refuse a part in another currency than its attempt's."""
    parts = [outcome for outcome in outcomes if outcome.part is not None]
    rows = [_outcome_row(outcome) for outcome in parts]
    told = {(row["payment_id"], row["attempt_no"]): row for _, row in await _beside(conn, rows)}
    for outcome in parts:
        now = told[outcome.payment_id, outcome.attempt_no]
        if outcome.part is not None and now["currency"] not in (None, outcome.part.currency):
            raise _refused(now, "outcome_part_of_attempt")


def _outcome_row(outcome: Outcome) -> dict[str, object]:
    row = msgspec.structs.asdict(outcome)
    part = row.pop("part")
    return {**row, "part_minor": None if part is None else part.amount_minor}


async def _insert(
    conn: AsyncConnection,
    statement: TextClause,
    rows: Sequence[Mapping[str, object]],
    *,
    partner_id: UUID,
    at: datetime,
    culprit: Callable[[RowMapping], bool],
) -> int:
    if len(rows) > ATTEMPTS_MAX:
        raise ValueError(f"{len(rows)} attempts exceed {ATTEMPTS_MAX}")
    if not rows:
        return 0
    facts = {"rows": _json(rows), "partner_id": partner_id, "at": at}
    try:
        # A savepoint, so that we can still ask which of the rows it was.
        async with conn.begin_nested():
            return (await conn.execute(statement, facts)).rowcount
    except IntegrityError as error:
        beside = [now for _, now in await _beside(conn, rows)]
        named = next((now for now in beside if culprit(now)), beside[0])
        raise _refused(named, constraint_of(error)) from error


async def _beside(
    conn: AsyncConnection, rows: Sequence[Mapping[str, object]]
) -> list[tuple[Mapping[str, object], RowMapping]]:
    """Pair each row with what stands in the ledger now, by payment and attempt."""
    if not rows:
        return []
    found = (await conn.execute(_NOW, {"rows": _json(rows)})).mappings().all()
    now = {(row["payment_id"], row["attempt_no"]): row for row in found}
    return sorted(
        ((row, now[row["payment_id"], row["attempt_no"]]) for row in rows),
        key=lambda pair: (pair[1]["payment_id"], pair[1]["attempt_no"]),
    )


def _refused(now: RowMapping, constraint: str) -> LedgerRefusal:
    return AttemptRefused(
        payment_id=now["payment_id"], attempt_no=now["attempt_no"], constraint=constraint
    )


def _json(rows: Sequence[Mapping[str, object]]) -> str:
    return msgspec.json.encode(rows).decode()
