"""Promises to one family that turned out to overlap: list them, and decide what becomes of them.

Two people decide, of organisations that have neither promise: one decides, another confirms.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Table, and_, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, holds
from cbi.overlap import months_after
from cbi.overlap_refusal import (
    ConflictDecidedAnew,
    ConflictOfOthers,
    ConflictOver,
    ConflictTwoPeople,
    ConflictUnendable,
)
from cbi.overlap_tables import conflict, conflict_confirmation, conflict_decision
from cbi.refusal import BadValue, NotFound
from cbi.who import Who
from dedup.deadline import due_on, holidays
from ledger.violation import constraint_of

Choice = Literal["keep_both", "end_later", "no_overlap"]
Grounds = Literal[
    "earlier_promise",
    "greater_need",
    "already_paid",
    "nearly_over",
    "agreed_between",
    "different_families",
    "other",
]
State = Literal["open", "proposed", "decided", "over"]
_CONFLICTS = """
    SELECT c.conflict_id, c.opened_at, a.code AS earlier_partner, b.code AS later_partner,
        c.earlier_assistance, c.later_assistance, c.is_over,
        lower(c.earlier_months) AS earlier_first, upper(c.earlier_months) AS earlier_end,
        lower(c.later_months) AS later_first, upper(c.later_months) AS later_end
    FROM cbi.conflicts_at(:at, :after ::uuid, :most) AS c
    JOIN cbi.partner AS a ON a.partner_id = c.earlier_partner
    JOIN cbi.partner AS b ON b.partner_id = c.later_partner
    ORDER BY c.conflict_id"""


_OWN = text("SELECT * FROM cbi.own_conflicts(:at, :after ::uuid, :most)")


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two promises: whose, which kind, and the months; without an end, until closed."""

    partner: str
    assistance: str
    first_month: date
    end_month: date | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a coordinator decided. `ends` is the first month that the later promise isn't for.

    It counts when another has confirmed it; one from before that was asked for counts alone.
    """

    decision_no: int
    decision: Choice
    ends: date | None
    reason: Grounds
    actor_id: UUID
    at: datetime
    is_alone: bool
    confirmed_by: UUID | None
    confirmed_at: datetime | None


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two promises that the rules don't allow together; both go on until a person has decided.

    `proposed` waits for the second person. `over` is one that ended by itself: its months have
    passed, a promise was given up, or the families were found to be two.
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


class OwnPromise(msgspec.Struct, frozen=True, kw_only=True):
    """A promise of one's own: to which household, and which kind."""

    household_id: UUID
    assistance: str


class OwnConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A conflict that one's own promises are in; whose the other is, `ask` may tell."""

    conflict_id: UUID
    opened_at: datetime
    age_days: int
    is_overdue: bool
    state: State
    promises: list[OwnPromise]
    ask: str


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
        is_decided = any(each.is_alone or each.confirmed_by is not None for each in told)
        state = _state(is_decided=is_decided, is_over=row.is_over, is_proposed=bool(told))
        due = due_on(row.opened_at, days_off=holidays())
        found.append(
            Conflict(
                conflict_id=row.conflict_id,
                opened_at=row.opened_at,
                age_days=(today - holds.day_of(row.opened_at)).days,
                due_on=due,
                is_overdue=state in _WAITING and due < today,
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
    reason: Grounds,
    by: Who,
) -> Conflict:
    """Decide, or decide anew; it counts once somebody else has confirmed it.

    `keep_both` lets both go on to the end of `month`, `end_later` ends the later one from `month`
    on, `no_overlap` leaves both as they are. What entitlements promised already stays.
    Raises NotFound, BadValue, ConflictOver, ConflictOfOthers.
    """
    ends = _ends(choice, month)
    found = await _held(conn, conflict_id, by)
    row = {
        "conflict_id": conflict_id,
        "decision_no": len(found.decisions) + 1,
        "decision": choice,
        "ends": ends,
        "reason": reason,
        "is_alone": False,
    }
    await _insert(conn, conflict_decision, row, by)
    return await load_conflict(conn, conflict_id, at=by.at)


async def confirm(
    conn: AsyncConnection, conflict_id: UUID, decision_no: int, *, by: Who
) -> Conflict:
    """Confirm a conflict's newest decision, which counts from then on; others stay as history.

    Raises NotFound, ConflictOver, ConflictOfOthers, ConflictTwoPeople, ConflictDecidedAnew,
    ConflictUnendable.
    """
    found = await _held(conn, conflict_id, by)
    decision = next((one for one in found.decisions if one.decision_no == decision_no), None)
    if decision is None:
        raise NotFound(what="decision", wanted=decision_no)
    if decision.confirmed_by is None:
        row = {
            "conflict_id": conflict_id,
            "decision_no": decision_no,
            "decided_by": decision.actor_id,
        }
        await _insert(conn, conflict_confirmation, row, by)
    return await load_conflict(conn, conflict_id, at=by.at)


async def list_own(
    conn: AsyncConnection, *, after: UUID | None, limit: int, at: datetime
) -> list[OwnConflict]:
    """List the conflicts that one's own promises are in, oldest first."""
    rows = (await conn.execute(_OWN, {"at": at, "after": after, "most": limit})).all()
    ask = (await agree.in_force(conn, holds.day_of(at)))[1].contact if rows else ""
    today = holds.day_of(at)
    found = []
    for row in rows:
        state = _state(is_decided=row.is_decided, is_over=row.is_over, is_proposed=False)
        due = due_on(row.opened_at, days_off=holidays())
        found.append(
            OwnConflict(
                conflict_id=row.conflict_id,
                opened_at=row.opened_at,
                age_days=(today - holds.day_of(row.opened_at)).days,
                is_overdue=state in _WAITING and due < today,
                state=state,
                promises=[
                    OwnPromise(household_id=household_id, assistance=assistance)
                    for household_id, assistance in zip(
                        row.household_ids, row.assistance, strict=True
                    )
                ],
                ask=ask,
            )
        )
    return found


async def _held(conn: AsyncConnection, conflict_id: UUID, by: Who) -> Conflict:
    """Load a conflict that nobody else decides meanwhile; raises NotFound, ConflictOver."""
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
    return found


async def _insert(conn: AsyncConnection, table: Table, row: Mapping[str, object], by: Who) -> None:
    conflict_id = row["conflict_id"]
    assert isinstance(conflict_id, UUID)
    try:
        async with conn.begin_nested():
            await conn.execute(insert(table).values(**row, **msgspec.structs.asdict(by)))
    except IntegrityError as error:
        match constraint_of(error):
            case "conflict_of_others":
                raise ConflictOfOthers(conflict_id=conflict_id) from error
            case "conflict_two_organisations" | "conflict_second_person":
                raise ConflictTwoPeople(conflict_id=conflict_id) from error
            case "conflict_confirmation_newest":
                raise ConflictDecidedAnew(conflict_id=conflict_id) from error
            # Somebody else was promised the months that this one would take back.
            case name if name in holds.OVERLAPS:
                raise ConflictUnendable(conflict_id=conflict_id) from error
        raise


def _state(*, is_decided: bool, is_over: bool, is_proposed: bool) -> State:
    if is_decided:
        return "decided"
    if is_over:
        return "over"
    return "proposed" if is_proposed else "open"


_WAITING = ("open", "proposed")


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
    made, second = conflict_decision.c, conflict_confirmation.c
    rows = await conn.execute(
        select(
            made.conflict_id,
            made.decision_no,
            made.decision,
            made.ends,
            made.reason,
            made.actor_id,
            made.at,
            made.is_alone,
            second.actor_id.label("confirmed_by"),
            second.at.label("confirmed_at"),
        )
        .outerjoin_from(
            conflict_decision,
            conflict_confirmation,
            and_(second.conflict_id == made.conflict_id, second.decision_no == made.decision_no),
        )
        .where(made.conflict_id.in_(conflict_ids))
        .order_by(made.conflict_id, made.decision_no)
    )
    found: dict[UUID, list[Decision]] = {}
    for row in rows:
        told = msgspec.convert(row._mapping, Decision)  # noqa: SLF001 -- public by its docs
        found.setdefault(row.conflict_id, []).append(told)
    return found
