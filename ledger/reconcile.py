"""Reconcile: match what came in to what went out, write what is certain, name the rest."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import matching
from ledger.continuity import Balances, continuity
from ledger.matching import Allocation, Break, Matching, OpenAttempt, StoredLine
from ledger.money import Money

PAGE = 10_000
PENDING_DAYS = 5


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The allocations newly made, and every break as things stand after them."""

    allocations: list[Allocation]
    breaks: list[Break]


_LINE = """l.line_id, l.source, l.status, l.direction, l.end_to_end_id, l.bank_reference,
    l.amount_minor, l.currency, l.booked_on, l.reason"""

# Attempts about which something can change: a line waits for them, or no statement has shown
# their debit. The rest of the past is not read again.
_ATTEMPTS = text("""
    SELECT a.payment_id, a.attempt_no, a.end_to_end_id, a.amount_minor, a.currency,
        CAST(a.opened_at AT TIME ZONE 'UTC' AS date) AS opened_on, o.outcome
    FROM ledger.attempt a LEFT JOIN ledger.outcome o USING (payment_id, attempt_no)
    WHERE a.partner_id = :partner_id AND a.end_to_end_id > :after
        AND (CAST(:payment_ids AS uuid[]) IS NULL OR a.payment_id = ANY(:payment_ids))
        AND (EXISTS (SELECT FROM ledger.statement_line l
                WHERE l.partner_id = a.partner_id AND l.end_to_end_id = a.end_to_end_id
                AND NOT EXISTS (SELECT FROM ledger.allocation c WHERE c.line_id = l.line_id))
            OR o.outcome IS DISTINCT FROM 'void' AND NOT EXISTS (SELECT FROM ledger.allocation c
                WHERE c.payment_id = a.payment_id AND c.attempt_no = a.attempt_no
                AND c.claim = 'statement'))
    ORDER BY a.end_to_end_id LIMIT :page""")

_LINES = text(f"""
    SELECT {_LINE} FROM ledger.statement_line l
    WHERE l.partner_id = :partner_id AND l.end_to_end_id = ANY(:end_to_end_ids)
        AND NOT EXISTS (SELECT FROM ledger.allocation c WHERE c.line_id = l.line_id)
    ORDER BY l.line_id""")  # noqa: S608 - our own columns

_STRAY_LINES = text(f"""
    SELECT {_LINE} FROM ledger.statement_line l
    WHERE l.partner_id = :partner_id AND l.line_id > :after
        AND NOT EXISTS (SELECT FROM ledger.attempt a
            WHERE a.partner_id = l.partner_id AND a.end_to_end_id = l.end_to_end_id)
    ORDER BY l.line_id LIMIT :page""")  # noqa: S608 - our own columns

_EVIDENCE = text(f"""
    SELECT c.payment_id, c.attempt_no, c.claim, c.rule, {_LINE}
    FROM ledger.allocation c JOIN ledger.statement_line l USING (line_id)
    WHERE c.payment_id = ANY(:payment_ids)
    ORDER BY c.payment_id, c.attempt_no, c.claim""")  # noqa: S608 - our own columns

_BALANCES = text("""
    SELECT s.statement_id, s.account_token, s.currency, s.sequence, s.booked_on, s.opening_minor,
        s.closing_minor, coalesce(sum(
            CASE l.direction WHEN 'credit' THEN l.amount_minor ELSE -l.amount_minor END), 0)
            AS lines_minor
    FROM ledger.statement s LEFT JOIN ledger.statement_line l USING (statement_id)
    WHERE s.partner_id = :partner_id AND s.source = 'camt.053'
    GROUP BY s.statement_id ORDER BY s.statement_id""")

# Another reconciliation may have claimed the line or the step meanwhile; then it stays with that.
_ALLOCATE = text("""
    INSERT INTO ledger.allocation (line_id, partner_id, payment_id, attempt_no, claim,
        amount_minor, currency, rule, evidence, allocated_at, actor_id)
    SELECT line_id, :partner_id, payment_id, attempt_no, claim, amount_minor, currency, rule,
        evidence, :at, :actor_id
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (line_id uuid, payment_id uuid, attempt_no integer, claim text, amount_minor bigint,
         currency text, rule text, evidence jsonb)
    ORDER BY line_id
    ON CONFLICT DO NOTHING RETURNING line_id""")


async def reconcile(
    conn: AsyncConnection,
    *,
    partner_id: UUID,
    at: datetime,
    actor_id: UUID,
    as_of: date,
    payment_ids: Sequence[UUID] | None = None,
    pending_days: int = PENDING_DAYS,
) -> Reconciliation:
    """Match the organisation's unclaimed lines, write the allocations, return them and the breaks.

    With `payment_ids` only these payments are looked at, and breaks that belong to no payment
    (strange lines, gaps between statements) are left out.
    """
    allocations: list[Allocation] = []
    found: list[Break] = []
    pages = _matchings(
        conn, partner_id=partner_id, as_of=as_of, payment_ids=payment_ids, pending_days=pending_days
    )
    async for page in pages:
        rows = msgspec.json.encode([_row(allocation) for allocation in page.allocations]).decode()
        facts = {"rows": rows, "partner_id": partner_id, "at": at, "actor_id": actor_id}
        written = set((await conn.execute(_ALLOCATE, facts)).scalars())
        allocations += [made for made in page.allocations if made.line_id in written]
        found += page.breaks
    if payment_ids is None:
        found += await _breaks_of_no_payment(conn, partner_id=partner_id)
    return Reconciliation(allocations=allocations, breaks=matching.sorted_breaks(found))


async def breaks(
    conn: AsyncConnection,
    *,
    partner_id: UUID,
    as_of: date,
    payment_ids: Sequence[UUID] | None = None,
    pending_days: int = PENDING_DAYS,
) -> list[Break]:
    """Return the breaks that reconciling now would name; writes nothing."""
    found: list[Break] = []
    pages = _matchings(
        conn, partner_id=partner_id, as_of=as_of, payment_ids=payment_ids, pending_days=pending_days
    )
    async for page in pages:
        found += page.breaks
    if payment_ids is None:
        found += await _breaks_of_no_payment(conn, partner_id=partner_id)
    return matching.sorted_breaks(found)


async def evidence(
    conn: AsyncConnection, payment_ids: Sequence[UUID]
) -> dict[UUID, list[Allocation]]:
    """Return what proves each payment, by attempt and claim; without proof an empty list."""
    proofs: dict[UUID, list[Allocation]] = {payment_id: [] for payment_id in payment_ids}
    found = await conn.execute(_EVIDENCE, {"payment_ids": list(proofs)})
    for row in found.mappings():
        proofs[row["payment_id"]].append(msgspec.convert(_with_money(row), Allocation))
    return proofs


async def _matchings(
    conn: AsyncConnection,
    *,
    partner_id: UUID,
    as_of: date,
    payment_ids: Sequence[UUID] | None,
    pending_days: int,
) -> AsyncIterator[Matching]:
    """Match page by page; all lines that name one attempt are in its page."""
    wanted = None if payment_ids is None else list(payment_ids)
    after = ""
    while True:
        facts = {"partner_id": partner_id, "payment_ids": wanted, "after": after, "page": PAGE}
        page = (await conn.execute(_ATTEMPTS, facts)).mappings().all()
        if not page:
            return
        attempts = [msgspec.convert(_with_money(row), OpenAttempt) for row in page]
        after = attempts[-1].end_to_end_id
        ids = [attempt.end_to_end_id for attempt in attempts]
        named = await conn.execute(_LINES, {"partner_id": partner_id, "end_to_end_ids": ids})
        lines = [msgspec.convert(_with_money(row), StoredLine) for row in named.mappings()]
        held = await evidence(conn, [attempt.payment_id for attempt in attempts])
        claimed = [allocation for proofs in held.values() for allocation in proofs]
        yield matching.match(attempts, lines, claimed, as_of=as_of, pending_days=pending_days)


async def _breaks_of_no_payment(conn: AsyncConnection, *, partner_id: UUID) -> list[Break]:
    found: list[Break] = []
    after = UUID(int=0)
    while True:
        facts = {"partner_id": partner_id, "after": after, "page": PAGE}
        page = (await conn.execute(_STRAY_LINES, facts)).mappings().all()
        if not page:
            break
        lines = [msgspec.convert(_with_money(row), StoredLine) for row in page]
        found += [matching.unexplained(line) for line in lines]
        after = lines[-1].line_id
    rows = (await conn.execute(_BALANCES, {"partner_id": partner_id})).mappings()
    return found + continuity([_balances(row) for row in rows])


def _balances(row: RowMapping) -> Balances:
    # A bank's lines may add up to more than a bigint holds, so the sum comes as a numeric.
    return msgspec.convert({**row, "lines_minor": int(row["lines_minor"])}, Balances)


def _with_money(row: RowMapping) -> dict[str, object]:
    facts = dict(row)
    amount_minor, currency = facts.pop("amount_minor"), facts.pop("currency")
    facts["money"] = (
        None if amount_minor is None else Money(amount_minor=amount_minor, currency=currency)
    )
    return facts


def _row(allocation: Allocation) -> dict[str, object]:
    money = allocation.money
    return {
        "line_id": allocation.line_id,
        "payment_id": allocation.payment_id,
        "attempt_no": allocation.attempt_no,
        "claim": allocation.claim,
        "amount_minor": None if money is None else money.amount_minor,
        "currency": None if money is None else money.currency,
        "rule": allocation.rule,
        "evidence": {
            "source": allocation.source,
            "status": allocation.status,
            "end_to_end_id": allocation.end_to_end_id,
            "bank_reference": allocation.bank_reference,
            "amount": money is not None,
        },
    }
