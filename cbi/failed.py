"""Which payments of a round failed, and who of them can be paid again now."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.disburse import FIRST
from cbi.disbursement import Round
from cbi.enrol import Programme
from cbi.entitlement import Entitlement
from cbi.followup import Again, Failed, LeftOut, Reason, divide
from cbi.payees import blocked_of, look_up_by_id
from dedup.driver import fetch
from ledger.money import Money

# So many failed payments are looked at for one list, whoever of them can be paid.
LOOKED_AT_MAX = 50_000

_FAILED = """
    FROM cbi.entitlement AS e
    CROSS JOIN LATERAL (
        SELECT a.attempt_no FROM ledger.attempt AS a WHERE a.payment_id = e.entitlement_id
        ORDER BY a.attempt_no DESC LIMIT 1) AS a
    CROSS JOIN LATERAL (
        SELECT o.outcome, o.part_minor FROM ledger.outcome AS o
        WHERE o.payment_id = e.entitlement_id AND o.attempt_no = a.attempt_no OFFSET 0) AS o
    LEFT JOIN ledger.giveback AS g
        ON g.payment_id = e.entitlement_id AND g.attempt_no = a.attempt_no
    WHERE e.round_id = $1 AND e.cancelled_at IS NULL AND e.entitlement_id > $2
        AND (o.outcome = 'void' OR o.part_minor IS NOT NULL OR g.payment_id IS NOT NULL)"""
_COLUMNS = """
    SELECT e.entitlement_id, e.enrolment_id, e.household_id, e.beneficiary_id, e.household_size,
        e.value_version, e.amount_minor, e.currency, a.attempt_no, g.payment_id IS NOT NULL,
        o.part_minor IS NOT NULL"""
_PAGE = f"{_COLUMNS} {_FAILED} ORDER BY e.entitlement_id LIMIT $3"
_THESE = f"{_COLUMNS} {_FAILED} AND e.entitlement_id = ANY ($3 ::uuid[]) ORDER BY e.entitlement_id"
_LEFT = f"SELECT count(*) {_FAILED}"

_FROZEN = """
    SELECT f.payment_id FROM ledger.freeze AS f WHERE f.payment_id = ANY ($1 ::uuid[])
        AND NOT EXISTS (SELECT FROM ledger.break_event AS e
                        WHERE e.break_id = f.break_id AND e.what = 'settled')"""


async def list_failed(
    conn: AsyncConnection, opened: Round, programme: Programme, payments_max: int
) -> tuple[list[Again], list[LeftOut], int]:
    """List who is paid again and who is not, and count those that were not looked at."""
    await look_up_by_id(conn)
    listed: list[Again] = []
    left_out: list[LeftOut] = []
    after = FIRST
    while len(listed) < payments_max and len(listed) + len(left_out) < LOOKED_AT_MAX:
        page = await _failed_page(conn, opened, after, payments_max - len(listed))
        if not page:
            break
        more, less = divide(page, await blocked_by_payment(conn, opened, programme, page))
        listed += more
        left_out += less
        after = page[-1].entitlement.entitlement_id
    waiting = (await fetch(conn, _LEFT, opened.round_id, after))[0][0]
    return listed, left_out, waiting


async def failed_of(
    conn: AsyncConnection, round_id: UUID, payment_ids: Collection[UUID]
) -> list[Failed]:
    """Load those of these payments whose last attempt failed, ordered by payment."""
    rows = await fetch(conn, _THESE, round_id, FIRST, list(payment_ids))
    return [_failed(row) for row in rows]


async def blocked_by_payment(
    conn: AsyncConnection, opened: Round, programme: Programme, failed: Sequence[Failed]
) -> dict[UUID, Sequence[Reason]]:
    """Say what keeps these families from being paid now, by payment."""
    entitlements = [each.entitlement for each in failed]
    of_household = await blocked_of(conn, opened, programme, entitlements)
    frozen = await frozen_of(conn, [each.entitlement_id for each in entitlements])
    blocked: dict[UUID, Sequence[Reason]] = {}
    for each in entitlements:
        reasons: list[Reason] = list(of_household.get(each.household_id, ()))
        if each.entitlement_id in frozen:
            reasons.append("frozen")
        if reasons:
            blocked[each.entitlement_id] = reasons
    return blocked


async def frozen_of(conn: AsyncConnection, payment_ids: Sequence[UUID]) -> set[UUID]:
    """Say which payments are frozen: one shows as paid after it was voided.

    Asked of each payment, at opening, approval and release.
    """
    return {row[0] for row in await fetch(conn, _FROZEN, list(payment_ids))}


async def _failed_page(
    conn: AsyncConnection, opened: Round, after: UUID, limit: int
) -> list[Failed]:
    return [_failed(row) for row in await fetch(conn, _PAGE, opened.round_id, after, limit)]


def _failed(row: Sequence[Any]) -> Failed:
    return Failed(
        entitlement=Entitlement(
            entitlement_id=row[0],
            enrolment_id=row[1],
            household_id=row[2],
            beneficiary_id=row[3],
            household_size=row[4],
            value_version=row[5],
            money=Money(amount_minor=row[6], currency=row[7]),
        ),
        attempt_no=row[8],
        is_returned=row[9],
        is_part=row[10],
    )
