"""Load what the reports of statements and of one beneficiary stand on."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.refusal import NotFound
from cbi.reports.asked import LINES_MAX, all_of
from cbi.reports.bank_match import Matched
from cbi.reports.movement import what_is
from cbi.reports.trace import Entitled, Moved, Trace, Tried
from ledger import breaks, reconcile
from ledger.money import Money

# The payments of one family: a round each, for years.
PAYMENTS_MAX = 1_000

_STATEMENTS = text("""
    SELECT s.statement_id, s.source, s.currency, s.booked_on, s.sequence, s.opening_minor,
        s.closing_minor, s.repeats IS NOT NULL AS is_repeat,
        l.lines, l.matched, l.debit_minor, l.credit_minor, l.matched_minor,
        (SELECT count(*) FROM ledger.rejected_line AS r WHERE r.statement_id = s.statement_id)
            AS rejected
    FROM ledger.statement AS s CROSS JOIN LATERAL (
        SELECT count(*) AS lines, count(*) FILTER (WHERE c.parts > 0) AS matched,
            coalesce(sum(l.amount_minor) FILTER (WHERE l.direction = 'debit'), 0) AS debit_minor,
            coalesce(sum(l.amount_minor) FILTER (WHERE l.direction = 'credit'), 0) AS credit_minor,
            coalesce(sum(c.amount_minor), 0) AS matched_minor
        FROM ledger.statement_line AS l CROSS JOIN LATERAL (
            SELECT count(*) AS parts, sum(a.amount_minor) AS amount_minor
            FROM ledger.allocation_in_force AS a WHERE a.line_id = l.line_id) AS c
        WHERE l.statement_id = s.statement_id) AS l
    WHERE s.partner_id = :partner_id
        AND (CAST(:since AS date) IS NULL OR s.booked_on >= :since)
        AND (CAST(:until AS date) IS NULL OR s.booked_on <= :until)
    ORDER BY s.booked_on NULLS FIRST, s.source, s.sequence, s.statement_id LIMIT :limit""")

_ENTITLED = text("""
    SELECT e.entitlement_id AS payment_id, e.household_id, r.name AS round_name,
        lower(e.months) AS first_month, e.household_size, e.amount_minor, e.currency,
        e.cancelled_at
    FROM cbi.entitlement AS e JOIN cbi.round AS r USING (round_id)
    WHERE e.entitlement_id = :payment_id OR e.household_id = :household_id
    ORDER BY e.months, e.entitlement_id LIMIT :limit""")

_PAYER = text("""
    SELECT e.partner_id FROM cbi.entitlement AS e
    WHERE e.entitlement_id = :payment_id OR e.household_id = :household_id LIMIT 1""")

_TRIED = text("""
    SELECT a.payment_id, a.attempt_no, a.opened_at, a.amount_minor, a.currency, o.outcome,
        coalesce(o.reason, '') AS reason, o.decided_at, g.recorded_at AS returned_at,
        coalesce(g.reason, '') AS return_reason
    FROM ledger.attempt AS a
    LEFT JOIN ledger.outcome AS o USING (payment_id, attempt_no)
    LEFT JOIN ledger.giveback AS g USING (payment_id, attempt_no)
    WHERE a.payment_id = ANY(:payment_ids) ORDER BY a.payment_id, a.attempt_no""")

# The ids of a payment's transfers begin as its own does (ledger.transfer).
_MOVED = text("""
    SELECT t.transfer_id, t.payment_id, t.attempt_no, t.kind, d.code AS debit, c.code AS credit,
        t.amount_minor, t.currency, t.effective_on, l.leaf_no
    FROM unnest(CAST(:payment_ids AS uuid[])) AS w(payment_id)
    CROSS JOIN LATERAL (SELECT * FROM ledger.transfer AS t
        WHERE t.transfer_id >= CAST(left(w.payment_id::text, 18) || '-0000-000000000000' AS uuid)
            AND t.transfer_id <= CAST(left(w.payment_id::text, 18) || '-ffff-ffffffffffff' AS uuid)
            AND t.payment_id = w.payment_id OFFSET 0) AS t
    JOIN ledger.account AS d ON d.account_id = t.debit_account
    JOIN ledger.account AS c ON c.account_id = t.credit_account
    LEFT JOIN ledger.leaf AS l ON l.sealed_id = t.transfer_id AND NOT l.is_digest
    ORDER BY t.effective_on, t.payment_id, t.attempt_no, t.posted_at, t.transfer_id""")


async def statements(
    conn: AsyncConnection, *, partner_id: UUID, since: date | None, until: date | None
) -> list[Matched]:
    """Return an organisation's statements by day, with what of each is matched."""
    facts = {"partner_id": partner_id, "since": since, "until": until, "limit": LINES_MAX + 1}
    rows = all_of((await conn.execute(_STATEMENTS, facts)).mappings().all())
    broken: dict[UUID, str] = {}
    for found in await breaks.of_statements(conn, partner_id=partner_id):
        assert found.statement_id is not None
        broken.setdefault(found.statement_id, found.kind)
    return [_matched(dict(row), broken) for row in rows]


def _matched(row: dict[str, object], broken: Mapping[UUID, str]) -> Matched:
    # Sums of a bank's lines may be more than a bigint holds, so they come as numerics.
    is_repeat = row.pop("is_repeat")
    sums = {
        key: int(Decimal(str(row[key]))) for key in ("debit_minor", "credit_minor", "matched_minor")
    }
    found = msgspec.convert({**row, **sums, "continuity": "no_balances"}, Matched)
    if is_repeat:
        return msgspec.structs.replace(found, continuity="repeats_another")
    if found.opening_minor is None or found.closing_minor is None:
        return found
    return msgspec.structs.replace(found, continuity=broken.get(found.statement_id, "whole"))


async def payer_of(
    conn: AsyncConnection, *, payment_id: UUID | None, household_id: UUID | None
) -> UUID:
    """Return whose books a payment, or a household's payments, stand in. Raises NotFound."""
    facts = {"payment_id": payment_id, "household_id": household_id}
    payer: UUID | None = await conn.scalar(_PAYER, facts)
    if payer is None:
        wanted = payment_id or household_id
        assert wanted is not None
        raise NotFound(what="payment", wanted=wanted)
    return payer


async def trace(
    conn: AsyncConnection, *, payment_id: UUID | None, household_id: UUID | None
) -> Trace:
    """Return all that is known of a payment, or of a household's payments."""
    facts = {"payment_id": payment_id, "household_id": household_id, "limit": PAYMENTS_MAX}
    rows = (await conn.execute(_ENTITLED, facts)).mappings().all()
    entitled = [msgspec.convert(_with_money(row), Entitled) for row in rows]
    ids = [each.payment_id for each in entitled]
    tried = (await conn.execute(_TRIED, {"payment_ids": ids})).mappings()
    proofs = await reconcile.evidence(conn, ids)
    moved = (await conn.execute(_MOVED, {"payment_ids": ids})).mappings()
    return Trace(
        entitled=entitled,
        tried=[msgspec.convert(_with_money(row), Tried) for row in tried],
        proofs=[proof for payment in ids for proof in proofs[payment]],
        moved=[
            msgspec.convert(
                {
                    **_with_money(row),
                    "debit": what_is(row["debit"]),
                    "credit": what_is(row["credit"]),
                },
                Moved,
            )
            for row in moved
        ],
    )


def _with_money(row: RowMapping) -> dict[str, object]:
    facts = dict(row)
    money = Money(
        amount_minor=int(str(facts.pop("amount_minor"))), currency=str(facts.pop("currency"))
    )
    return {**facts, "money": money}
