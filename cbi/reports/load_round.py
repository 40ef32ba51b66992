"""Load what the reports of rounds and payments stand on."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import report, tables
from cbi.disburse import CHUNK_MAX, FIRST, load_round, load_steps
from cbi.enrol import load_programme
from cbi.reconciliation import PaymentRow
from cbi.reports.control import Control, File, Signature
from cbi.reports.exceptions import Exceptional
from cbi.reports.unclaimed import Waiting
from ledger import breaks
from ledger.breaks import Kept
from ledger.money import Money

_FILES = text("""
    SELECT 0 AS followup_no, f.part_no, f.message_id, f.sha256, f.written_at
    FROM cbi.payment_file AS f WHERE f.round_id = :round_id
    UNION ALL
    SELECT u.followup_no, f.part_no, f.message_id, f.sha256, f.written_at
    FROM cbi.followup_file AS f JOIN cbi.followup AS u USING (followup_id)
    WHERE u.round_id = :round_id
    ORDER BY followup_no, part_no""")

_OF_ROUND = text("""
    SELECT e.entitlement_id FROM cbi.entitlement AS e
    WHERE e.entitlement_id = ANY(:payment_ids) AND e.round_id = :round_id""")

# Attempts of released rounds that have no outcome, in the order of payments.
_WAITING = text("""
    SELECT a.payment_id, a.attempt_no, a.end_to_end_id, a.amount_minor, a.currency,
        r.name AS round_name,
        CAST(greatest(s.at, a.opened_at) AT TIME ZONE 'UTC' AS date) AS released_on
    FROM cbi.entitlement AS e
    JOIN ledger.attempt AS a ON a.payment_id = e.entitlement_id
    JOIN cbi.round AS r ON r.round_id = e.round_id
    JOIN cbi.round_step AS s ON s.round_id = e.round_id AND s.step = 5
    WHERE e.partner_id = :partner_id AND (a.payment_id, a.attempt_no) > (:after, :after_no)
        AND e.entitlement_id >= :after
        AND (CAST(:round_id AS uuid) IS NULL OR e.round_id = :round_id)
        AND (CAST(:programme_id AS uuid) IS NULL OR r.programme_id = :programme_id)
        AND CAST(greatest(s.at, a.opened_at) AT TIME ZONE 'UTC' AS date) <= :as_of
        AND NOT EXISTS (SELECT FROM ledger.outcome AS o
            WHERE o.payment_id = a.payment_id AND o.attempt_no = a.attempt_no)
    ORDER BY a.payment_id, a.attempt_no LIMIT :page""")

_LEFT_OUT = text("""
    SELECT reason, count(*) AS families FROM cbi.left_out AS l, unnest(l.reasons) AS reason
    WHERE l.round_id = :round_id GROUP BY reason""")


async def exceptions(
    conn: AsyncConnection, *, partner_id: UUID, round_id: UUID | None
) -> AsyncIterator[list[Exceptional]]:
    """Yield pages of the open breaks, by id; with a round those of its payments."""
    after = FIRST
    while page := await breaks.load(conn, partner_id=partner_id, after=after, is_over=False):
        after = page[-1].break_id
        if round_id is not None:
            named = {each.found.payment_id for each in page} - {None}
            facts = {"payment_ids": list(named), "round_id": round_id}
            own = set((await conn.execute(_OF_ROUND, facts)).scalars())
            page = [each for each in page if each.found.payment_id in own]
        yield [_exceptional(each) for each in page]


def _exceptional(kept: Kept) -> Exceptional:
    found = kept.found
    return Exceptional(
        kind=found.kind,
        owner=kept.owner,
        opened_on=kept.opened_on,
        payment_id=found.payment_id,
        attempt_no=found.attempt_no,
        end_to_end_id=found.end_to_end_id,
        line_id=found.line_id or found.statement_id,
        expected_minor=found.expected_minor,
        actual_minor=found.actual_minor,
        currency=found.currency,
    )


async def waiting(
    conn: AsyncConnection,
    *,
    partner_id: UUID,
    round_id: UUID | None,
    programme_id: UUID | None,
    as_of: date,
) -> AsyncIterator[list[Waiting]]:
    """Yield pages of the payments that were released by that day and have no outcome yet."""
    after, after_no = FIRST, 0
    while True:
        facts = {
            "partner_id": partner_id,
            "round_id": round_id,
            "programme_id": programme_id,
            "as_of": as_of,
            "after": after,
            "after_no": after_no,
            "page": CHUNK_MAX,
        }
        rows = (await conn.execute(_WAITING, facts)).all()
        if not rows:
            return
        yield [
            Waiting(
                payment_id=row.payment_id,
                attempt_no=row.attempt_no,
                end_to_end_id=row.end_to_end_id,
                money=Money(amount_minor=row.amount_minor, currency=row.currency),
                round_name=row.round_name,
                released_on=row.released_on,
            )
            for row in rows
        ]
        after, after_no = rows[-1].payment_id, rows[-1].attempt_no


async def payments(conn: AsyncConnection, round_id: UUID) -> AsyncIterator[list[PaymentRow]]:
    """Yield pages of a round's payments as they stand, by id."""
    after: UUID | None = None
    while page := await report.payment_rows(conn, round_id=round_id, after=after, limit=CHUNK_MAX):
        yield page
        after = page[-1].payment_id


async def control(conn: AsyncConnection, round_id: UUID) -> Control:
    """Return the signatures of a round, its files as far as the reader may see them, and counts."""
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    steps = await load_steps(conn, round_id, programme.currency)
    handles = await _handles(conn, [step.actor_id for step in steps])
    entitlement = tables.entitlement.c
    cancelled = await conn.scalar(
        select(func.count()).where(
            entitlement.round_id == round_id, entitlement.cancelled_at.is_not(None)
        )
    )
    left_out = await conn.execute(_LEFT_OUT, {"round_id": round_id})
    return Control(
        currency=programme.currency,
        signatures=tuple(
            Signature(
                step=step.step,
                handle=handles.get(step.actor_id, str(step.actor_id)),
                at=step.at,
                payments=step.payments,
                total=step.total,
                list_digest=step.list_digest,
            )
            for step in steps
        ),
        files=await _files(conn, round_id),
        left_out={row.reason: row.families for row in left_out},
        cancelled=cancelled or 0,
    )


async def _handles(conn: AsyncConnection, actor_ids: Sequence[UUID]) -> dict[UUID, str]:
    actor = tables.actor.c
    rows = await conn.execute(
        select(actor.actor_id, actor.handle).where(actor.actor_id.in_(set(actor_ids)))
    )
    return {row.actor_id: row.handle for row in rows}


async def _files(conn: AsyncConnection, round_id: UUID) -> tuple[File, ...]:
    rows = await conn.execute(_FILES, {"round_id": round_id})
    return tuple(
        File(
            followup_no=row.followup_no,
            part_no=row.part_no,
            message_id=row.message_id,
            sha256=row.sha256.hex(),
            written_at=row.written_at,
        )
        for row in rows
    )
