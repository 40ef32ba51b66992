"""Lines that carry no id of ours: which attempts they name, and which payments a batch is."""

from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import naming
from ledger.matching import OpenAttempt, StoredLine
from ledger.money import Money
from ledger.naming import Candidate, Share
from ledger.reconcile import FREE, LINE, NTH, line_of

LOOSE_MAX = 200_000

# Lines that name nobody, beside the attempts that they may mean.
_LOOSE = f"""
    FROM ledger.statement_line l
    WHERE l.partner_id = :partner_id AND l.amount_minor IS NOT NULL
        AND NOT EXISTS (SELECT FROM ledger.attempt a
            WHERE a.partner_id = l.partner_id AND a.end_to_end_id = l.end_to_end_id)
        AND NOT EXISTS (SELECT FROM ledger.naming n WHERE n.line_id = l.line_id)
        AND {FREE}"""  # noqa: S608 - our own columns

_CANDIDATES = text(f"""
    WITH loose AS MATERIALIZED (SELECT l.* {_LOOSE} ORDER BY l.line_id LIMIT :limit),
    other AS (
        SELECT l.line_id, k.end_to_end_id, 'uetr-exact/1' AS rule
        FROM loose l JOIN ledger.statement_line k
            ON k.partner_id = l.partner_id AND k.uetr = l.uetr AND k.uetr <> ''
        UNION SELECT l.line_id, k.end_to_end_id, 'provider-id-exact/1'
        FROM loose l JOIN ledger.statement_line k ON k.partner_id = l.partner_id
            AND k.provider_id IN (l.provider_id, l.bank_reference) AND k.provider_id <> ''
        UNION SELECT l.line_id, a.end_to_end_id, 'reference/1'
        FROM loose l JOIN ledger.attempt a ON a.partner_id = l.partner_id
            AND a.end_to_end_id >= l.reference AND a.end_to_end_id < l.reference || 'g'
        WHERE l.reference <> ''
        UNION SELECT l.line_id, a.end_to_end_id, 'account-and-amount/1'
        FROM loose l JOIN ledger.payee p
            ON p.partner_id = l.partner_id AND p.account_token = l.account_token
        JOIN ledger.attempt a USING (payment_id, attempt_no) WHERE l.account_token <> ''
    )
    SELECT l.line_id, a.end_to_end_id, other.rule, l.source || ' ' || l.direction AS step,
        l.amount_minor, l.currency, a.amount_minor AS attempt_minor,
        a.currency AS attempt_currency, l.booked_on,
        CAST(a.opened_at AT TIME ZONE 'UTC' AS date) AS opened_on
    FROM other JOIN loose l USING (line_id) JOIN ledger.attempt a
        ON a.partner_id = l.partner_id AND a.end_to_end_id = other.end_to_end_id
    WHERE NOT EXISTS (SELECT FROM ledger.allocation_in_force c
        JOIN ledger.statement_line k ON k.line_id = c.line_id
        WHERE c.payment_id = a.payment_id AND c.attempt_no = a.attempt_no
            AND k.source = l.source AND k.direction = l.direction)
        AND NOT EXISTS (SELECT FROM ledger.statement_line k
            WHERE k.partner_id = a.partner_id AND k.end_to_end_id = a.end_to_end_id
            AND k.source = l.source AND k.direction = l.direction)
    ORDER BY l.line_id, a.end_to_end_id, other.rule""")  # noqa: S608 - our own columns

_NAME = text("""
    INSERT INTO ledger.naming (line_id, partner_id, end_to_end_id, rule, run_id)
    SELECT line_id, :partner_id, end_to_end_id, rule, :run_id
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (line_id uuid, end_to_end_id text, rule text) ORDER BY line_id""")

# A batch that was booked as one, beside each payment that the provider reports of it.
_BATCHES = text(f"""
    WITH loose AS MATERIALIZED (SELECT l.* {_LOOSE} AND l.direction = 'debit' AND l.batch_id <> ''
        AND l.source IN ('camt.053', 'mt940', 'statement-table') ORDER BY l.line_id LIMIT :limit)
    SELECT DISTINCT {LINE}, {NTH}, CAST('{naming.BATCH_RULE}' AS text) AS rule,
        a.payment_id, a.attempt_no, a.end_to_end_id AS names, k.amount_minor AS share_minor,
        k.currency AS share_currency, CAST(a.opened_at AT TIME ZONE 'UTC' AS date) AS opened_on
    FROM loose l JOIN ledger.statement_line k ON k.partner_id = l.partner_id
        AND k.batch_id = l.batch_id AND k.direction = 'debit' AND k.status = 'booked'
        AND k.source IN ('camt.054', 'report-table')
    JOIN ledger.attempt a ON a.partner_id = k.partner_id AND a.end_to_end_id = k.end_to_end_id
        AND a.amount_minor = k.amount_minor AND a.currency = k.currency
    WHERE NOT EXISTS (SELECT FROM ledger.outcome o
            WHERE o.payment_id = a.payment_id AND o.attempt_no = a.attempt_no)
        AND NOT EXISTS (SELECT FROM ledger.allocation_in_force c WHERE c.payment_id = a.payment_id
            AND c.attempt_no = a.attempt_no AND c.claim = 'statement')
    ORDER BY l.line_id, a.end_to_end_id""")  # noqa: S608 - our own columns


async def name_lines(
    conn: AsyncConnection, *, run_id: UUID, partner_id: UUID, holidays: frozenset[date]
) -> int:
    """Say which attempts lines without our id name; return how many do."""
    facts = {"partner_id": partner_id, "limit": LOOSE_MAX}
    found = (await conn.execute(_CANDIDATES, facts)).mappings()
    named = naming.name([_candidate(row) for row in found], holidays=holidays)
    if named:
        rows = msgspec.json.encode(named).decode()
        await conn.execute(_NAME, {"rows": rows, "partner_id": partner_id, "run_id": run_id})
    return len(named)


async def load_batches(
    conn: AsyncConnection, *, partner_id: UUID
) -> list[tuple[StoredLine, OpenAttempt, Money]]:
    """Load the payments that batches booked as one are made of: line, attempt and its share."""
    facts = {"partner_id": partner_id, "limit": LOOSE_MAX}
    rows = (await conn.execute(_BATCHES, facts)).mappings().all()
    found: dict[tuple[UUID, str], tuple[StoredLine, OpenAttempt, Money]] = {}
    for row in rows:
        share = Money(amount_minor=row["share_minor"], currency=row["share_currency"])
        attempt = OpenAttempt(
            payment_id=row["payment_id"],
            attempt_no=row["attempt_no"],
            end_to_end_id=row["names"],
            money=share,
            opened_on=row["opened_on"],
        )
        found[row["line_id"], row["names"]] = (line_of(row), attempt, share)
    batch = {line.line_id: line.money for line, _, _ in found.values() if line.money is not None}
    shares = [
        Share(batch_line_id=line.line_id, end_to_end_id=attempt.end_to_end_id, money=share)
        for line, attempt, share in found.values()
    ]
    return [found[each.batch_line_id, each.end_to_end_id] for each in naming.explode(batch, shares)]


def _candidate(row: RowMapping) -> Candidate:
    return Candidate(
        line_id=row["line_id"],
        end_to_end_id=row["end_to_end_id"],
        rule=row["rule"],
        step=row["step"],
        line_money=Money(amount_minor=row["amount_minor"], currency=row["currency"]),
        attempt_money=Money(amount_minor=row["attempt_minor"], currency=row["attempt_currency"]),
        booked_on=row["booked_on"],
        opened_on=row["opened_on"],
    )
