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
from ledger.reconcile import FREE, LINE, NTH, STRANGE, line_of

LOOSE_MAX = 200_000

# Lines that name nobody, beside the attempts that they may mean.
_LOOSE = f"""
    FROM strange l WHERE l.amount_minor IS NOT NULL
        AND NOT EXISTS (SELECT FROM ledger.naming n WHERE n.line_id = l.line_id OFFSET 0)
        AND {FREE}"""

# (OFFSET 0: each of a few thousand lines asks by an index; a plan that joins would compare them
# with all lines there are.)
_CANDIDATES = text(f"""
    WITH {STRANGE},
    loose AS MATERIALIZED (
        SELECT l.line_id, l.partner_id, l.source, l.direction, l.amount_minor, l.currency,
            l.booked_on, l.uetr, l.provider_id, l.bank_reference, l.reference, l.account_token
        {_LOOSE} ORDER BY l.line_id LIMIT :limit),
    other AS MATERIALIZED (
        SELECT l.line_id, k.end_to_end_id, 'uetr-exact/1' AS rule
        FROM loose l CROSS JOIN LATERAL (SELECT m.end_to_end_id FROM ledger.statement_line m
            WHERE m.partner_id = l.partner_id AND m.uetr = l.uetr AND m.uetr <> '' OFFSET 0) AS k
        WHERE l.uetr <> ''
        UNION SELECT l.line_id, k.end_to_end_id, 'provider-id-exact/1'
        FROM loose l CROSS JOIN LATERAL (SELECT m.end_to_end_id FROM ledger.statement_line m
            WHERE m.partner_id = l.partner_id AND m.provider_id <> ''
                AND m.provider_id = ANY (ARRAY[l.provider_id, l.bank_reference]) OFFSET 0) AS k
        WHERE l.provider_id <> '' OR l.bank_reference <> ''
        UNION SELECT l.line_id, k.end_to_end_id, 'reference/1'
        FROM loose l CROSS JOIN LATERAL (SELECT b.end_to_end_id FROM ledger.attempt b
            WHERE b.partner_id = l.partner_id AND b.end_to_end_id >= l.reference
                AND b.end_to_end_id < l.reference || 'g' LIMIT 2) AS k
        WHERE l.reference <> ''
        UNION SELECT l.line_id, k.end_to_end_id, 'account-and-amount/1'
        FROM loose l CROSS JOIN LATERAL (SELECT b.end_to_end_id FROM ledger.payee p
            JOIN ledger.attempt b USING (payment_id, attempt_no)
            WHERE p.partner_id = l.partner_id AND p.account_token = l.account_token
                AND b.amount_minor = l.amount_minor AND b.currency = l.currency OFFSET 0) AS k
        WHERE l.account_token <> ''
    )
    SELECT l.line_id, a.end_to_end_id, other.rule, l.source || ' ' || l.direction AS step,
        l.amount_minor, l.currency, a.amount_minor AS attempt_minor,
        a.currency AS attempt_currency, l.booked_on,
        CAST(a.opened_at AT TIME ZONE 'UTC' AS date) AS opened_on
    FROM other JOIN loose l USING (line_id)
    CROSS JOIN LATERAL (SELECT b.* FROM ledger.attempt b
        WHERE b.partner_id = l.partner_id AND b.end_to_end_id = other.end_to_end_id OFFSET 0) AS a
    WHERE NOT EXISTS (SELECT FROM ledger.allocation_in_force c
        JOIN ledger.statement_line k ON k.line_id = c.line_id
        WHERE c.payment_id = a.payment_id AND c.attempt_no = a.attempt_no
            AND k.source = l.source AND k.direction = l.direction OFFSET 0)
        AND NOT EXISTS (SELECT FROM ledger.statement_line k
            WHERE k.partner_id = a.partner_id AND k.end_to_end_id = a.end_to_end_id
            AND k.source = l.source AND k.direction = l.direction OFFSET 0)
    ORDER BY l.line_id, a.end_to_end_id, other.rule""")  # noqa: S608 - our own columns

_NAME = text("""
    INSERT INTO ledger.naming (line_id, partner_id, end_to_end_id, rule, run_id)
    SELECT line_id, :partner_id, end_to_end_id, rule, :run_id
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (line_id uuid, end_to_end_id text, rule text) ORDER BY line_id""")

# A batch that was booked as one, beside each payment that the provider reports of it.
_BATCHES = text(f"""
    WITH {STRANGE},
    loose AS MATERIALIZED (SELECT l.* {_LOOSE} AND l.direction = 'debit' AND l.batch_id <> ''
        AND l.source IN ('camt.053', 'mt940', 'statement-table') ORDER BY l.line_id LIMIT :limit)
    SELECT DISTINCT {LINE}, {NTH}, CAST('{naming.BATCH_RULE}' AS text) AS rule,
        a.payment_id, a.attempt_no, a.end_to_end_id AS names, k.amount_minor AS share_minor,
        k.currency AS share_currency, CAST(a.opened_at AT TIME ZONE 'UTC' AS date) AS opened_on
    FROM loose l
    CROSS JOIN LATERAL (SELECT m.* FROM ledger.statement_line m
        WHERE m.partner_id = l.partner_id AND m.batch_id = l.batch_id AND m.batch_id <> ''
            AND m.direction = 'debit' AND m.status = 'booked'
            AND m.source IN ('camt.054', 'report-table') OFFSET 0) AS k
    CROSS JOIN LATERAL (SELECT b.* FROM ledger.attempt b
        WHERE b.partner_id = k.partner_id AND b.end_to_end_id = k.end_to_end_id
            AND b.amount_minor = k.amount_minor AND b.currency = k.currency OFFSET 0) AS a
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
