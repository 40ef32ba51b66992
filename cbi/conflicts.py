"""Promises to one family that turned out to overlap: list them, and decide what becomes of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import holds
from cbi.overlap import months_after
from cbi.overlap_refusal import ConflictOver, ConflictUnendable
from cbi.overlap_tables import conflict, conflict_decision
from cbi.refusal import BadValue, NotFound
from cbi.who import Who
from dedup.deadline import due_on, holidays
from ledger.violation import constraint_of

Choice = Literal["keep_both", "end_later", "no_overlap"]
State = Literal["open", "decided", "over"]
_CONFLICTS = """
    SELECT c.conflict_id, c.opened_at, a.code AS earlier_partner, b.code AS later_partner,
        c.earlier_assistance, c.later_assistance, c.is_over,
        lower(c.earlier_months) AS earlier_first, upper(c.earlier_months) AS earlier_end,
        lower(c.later_months) AS later_first, upper(c.later_months) AS later_end
    FROM cbi.conflicts_at(:at, :after ::uuid, :most) AS c
    JOIN cbi.partner AS a ON a.partner_id = c.earlier_partner
    JOIN cbi.partner AS b ON b.partner_id = c.later_partner
    ORDER BY c.conflict_id"""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two promises: whose, which kind, and the months; without an end, until closed."""

    partner: str
    assistance: str
    first_month: date
    end_month: date | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a coordinator decided. `ends` is the first month that the later promise isn't for."""

    decision: Choice
    ends: date | None
    note: str
    actor_id: UUID
    at: datetime


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two promises that the rules don't allow together; both go on until a person has decided.

    `over` is one that ended by itself: its months have passed, a promise was given up, or the
    families were found to be two.
    """

    conflict_id: UUID
    opened_at: datetime
    age_days: int
    due_on: date
    is_overdue: bool
    state: State
    earlier: Side
    later: Side
    decisions: list[Decision]


async def list_conflicts(
    conn: AsyncConnection, *, after: UUID | None, limit: int, at: datetime
) -> list[Conflict]:
    """List conflicts, oldest first, to coordinators and auditors; to others there is none."""
    rows = (await conn.execute(text(_CONFLICTS), {"at": at, "after": after, "most": limit})).all()
    decisions = await _decisions(conn, [row.conflict_id for row in rows])
    today = holds.day_of(at)
    found = []
    for row in rows:
        told = decisions.get(row.conflict_id, [])
        state: State = "decided" if told else "over" if row.is_over else "open"
        due = due_on(row.opened_at, days_off=holidays())
        found.append(
            Conflict(
                conflict_id=row.conflict_id,
                opened_at=row.opened_at,
                age_days=(today - holds.day_of(row.opened_at)).days,
                due_on=due,
                is_overdue=state == "open" and due < today,
                state=state,
                earlier=Side(
                    partner=row.earlier_partner,
                    assistance=row.earlier_assistance,
                    first_month=row.earlier_first,
                    end_month=row.earlier_end,
                ),
                later=Side(
                    partner=row.later_partner,
                    assistance=row.later_assistance,
                    first_month=row.later_first,
                    end_month=row.later_end,
                ),
                decisions=told,
            )
        )
    return found


async def load_conflict(conn: AsyncConnection, conflict_id: UUID, *, at: datetime) -> Conflict:
    """Load one as it stands; raises NotFound."""
    before = UUID(int=max(conflict_id.int - 1, 0))
    found = await list_conflicts(conn, after=before, limit=1, at=at)
    if not found or found[0].conflict_id != conflict_id:
        raise NotFound(what="conflict", wanted=conflict_id)
    return found[0]


async def decide(
    conn: AsyncConnection,
    conflict_id: UUID,
    choice: Choice,
    *,
    month: date | None,
    note: str,
    by: Who,
) -> Conflict:
    """Decide, or decide anew: the newest decision counts, and the others stay as history.

    `keep_both` lets both go on to the end of `month`, `end_later` ends the later one from `month`
    on, `no_overlap` leaves both as they are. What entitlements promised already stays.
    Raises NotFound, BadValue, ConflictOver, ConflictUnendable.
    """
    ends = _ends(choice, month)
    locked = await conn.scalar(
        select(conflict.c.conflict_id).where(conflict.c.conflict_id == conflict_id)
    )
    if locked is None:
        raise NotFound(what="conflict", wanted=conflict_id)
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"cbi.conflict {conflict_id}"},
    )
    found = await load_conflict(conn, conflict_id, at=by.at)
    if found.state == "over":
        raise ConflictOver(conflict_id=conflict_id)
    newest = await conn.scalar(
        select(func.max(conflict_decision.c.decision_no)).where(
            conflict_decision.c.conflict_id == conflict_id
        )
    )
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(conflict_decision).values(
                    conflict_id=conflict_id,
                    decision_no=(newest or 0) + 1,
                    decision=choice,
                    ends=ends,
                    note=note,
                    partner_id=by.partner_id,
                    actor_id=by.actor_id,
                    at=by.at,
                )
            )
    except IntegrityError as error:
        # Somebody else was promised the months that this one would take back.
        if constraint_of(error) in holds.OVERLAPS:
            raise ConflictUnendable(conflict_id=conflict_id) from error
        raise
    return await load_conflict(conn, conflict_id, at=by.at)


def _ends(choice: Choice, month: date | None) -> date | None:
    if choice == "no_overlap":
        if month is not None:
            raise BadValue(field="month", reason="nothing ends when nothing overlaps")
        return None
    if month is None or month.day != 1 or not date(2000, 1, 1) <= month < date(2200, 1, 1):
        raise BadValue(field="month", reason="a first day of a month between 2000 and 2199")
    return months_after(month, 1) if choice == "keep_both" else month


async def _decisions(
    conn: AsyncConnection, conflict_ids: Sequence[UUID]
) -> dict[UUID, list[Decision]]:
    made = conflict_decision.c
    rows = await conn.execute(
        select(made.conflict_id, made.decision, made.ends, made.note, made.actor_id, made.at)
        .where(made.conflict_id.in_(conflict_ids))
        .order_by(made.conflict_id, made.decision_no)
    )
    found: dict[UUID, list[Decision]] = {}
    for row in rows:
        told = msgspec.convert(row._mapping, Decision)  # noqa: SLF001 -- public by its docs
        found.setdefault(row.conflict_id, []).append(told)
    return found
