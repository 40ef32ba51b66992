"""Appeals as their viewers see them: list, assign, decide, and let a reversal have its effect."""

from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    Insert,
    Row,
    Select,
    Table,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import appeal_tables as tables
from cbi import partners
from cbi.appeal import (
    BECAUSE,
    REVERSES,
    Acted,
    Appeal,
    Assigned,
    Because,
    Decided,
    Done,
    Effect,
    Outcome,
    Reading,
    Refused,
    State,
    Statement,
)
from cbi.appeal_refusal import (
    AppealDecided,
    NothingToActOn,
    NotTheReviewer,
    ReviewerTookPart,
    StatementErased,
)
from cbi.refusal import BadValue, CbiRefusal, NotFound
from cbi.tables import actor as actors
from cbi.tables import household as households
from cbi.vault import Vault, WrappedKey, open_as
from cbi.who import Who
from ledger.violation import constraint_of

PAGE_MAX = 201
T = TypeVar("T")
_REVERSE = text("""
    SELECT kind, case_id, act_by FROM cbi.reverse_appealed(
        :appeal_id ::uuid, :case_id ::uuid, :act_by ::date, :at ::timestamptz)
""")
_APPEALED = text("SELECT * FROM cbi.appealed(:wanted ::uuid[])")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which appeals are asked for; `overdue_on`: those that somebody should have moved before."""

    state: State | None = None
    overdue_on: date | None = None
    reviewer_partner_id: UUID | None = None
    reviewer_actor_id: UUID | None = None
    after: UUID | None = None


async def list_appeals(conn: AsyncConnection, wanted: Wanted, *, limit: int) -> list[Appeal]:
    """Return a page of the appeals that may be seen, oldest first."""
    assert limit <= PAGE_MAX
    appeal = tables.appeal.c
    query = select(tables.appeal).where(*_conditions(wanted))
    if wanted.after is not None:
        query = query.where(appeal.appeal_id > wanted.after)
    return await _views(conn, query.order_by(appeal.appeal_id).limit(limit))


async def load_appeal(conn: AsyncConnection, appeal_id: UUID) -> Appeal:
    """Return an appeal that the caller may see; raises NotFound."""
    views = await _views(conn, select(tables.appeal).where(tables.appeal.c.appeal_id == appeal_id))
    if not views:
        raise NotFound(what="appeal", wanted=appeal_id)
    return views[0]


async def assign(
    conn: AsyncConnection,
    appeal_id: UUID,
    *,
    partner: str | None,
    person: str | None,
    is_coordinator: bool,
    who: Who,
) -> Appeal:
    """Ask an organisation (by code), a colleague (by handle), or else oneself, to review.

    The newest counts. Raises NotFound, AppealDecided, BadValue for who isn't known, and
    ReviewerTookPart: nobody of the organisation that refused has a say in who reviews.
    """
    appeal = await load_appeal(conn, appeal_id)
    reviewer_partner_id, reviewer_actor_id = await _asked(conn, partner, person, who)
    if who.partner_id == appeal.partner_id:
        raise ReviewerTookPart(appeal_id=appeal_id)
    if reviewer_partner_id != who.partner_id and not is_coordinator:
        raise BadValue(field="partner", reason="a coordinator asks other organisations")
    row = {
        "appeal_id": appeal_id,
        "partner_id": appeal.partner_id,
        "reviewer_partner_id": reviewer_partner_id,
        "reviewer_actor_id": reviewer_actor_id,
        "assigned_by": who.actor_id,
        "assigned_at": who.at,
    }
    await _add(conn, insert(tables.appeal_assignment).values(row).inline(), appeal_id)
    return await load_appeal(conn, appeal_id)


async def decide(
    conn: AsyncConnection,
    appeal_id: UUID,
    *,
    outcome: Outcome,
    because: Because,
    new_case_id: UUID,
    act_by: date,
    who: Who,
) -> Appeal:
    """End an appeal, and let a reversal have its effect in the same transaction.

    A reversal opens the decided case beneath anew (as `new_case_id`), or else asks the organisation
    that refused to act by `act_by`. Raises NotFound, BadValue, AppealDecided, NotTheReviewer,
    ReviewerTookPart.
    """
    appeal = await load_appeal(conn, appeal_id)
    if because not in BECAUSE[outcome]:
        raise BadValue(field="because", reason="one of: " + ", ".join(sorted(BECAUSE[outcome])))
    if appeal.decided is not None:
        raise AppealDecided(appeal_id=appeal_id)
    if who.partner_id == appeal.partner_id:
        raise ReviewerTookPart(appeal_id=appeal_id)
    asked = appeal.assignments[-1] if appeal.assignments else None
    if asked is None or asked.reviewer_partner_id != who.partner_id:
        raise NotTheReviewer(appeal_id=appeal_id)
    row = {
        "appeal_id": appeal_id,
        "partner_id": appeal.partner_id,
        "assignment_no": asked.assignment_no,
        "reviewer_partner_id": who.partner_id,
        "reviewer_actor_id": who.actor_id,
        "outcome": outcome,
        "because": because,
        "decided_at": who.at,
    }
    # A reversal comes before its effect, and the transaction ends with both.
    await conn.execute(text("SET CONSTRAINTS cbi.appeal_reversal_has_effect DEFERRED"))
    await _add(conn, insert(tables.appeal_outcome).values(row), appeal_id)
    if outcome in REVERSES:
        facts = {"appeal_id": appeal_id, "case_id": new_case_id, "act_by": act_by, "at": who.at}
        (await conn.execute(_REVERSE, facts)).one()
    return await load_appeal(conn, appeal_id)


async def act(
    conn: AsyncConnection,
    appeal_id: UUID,
    *,
    what: Done,
    who: Who,
    household_id: UUID | None = None,
) -> Appeal:
    """Say what the organisation that refused did about a reversal; raises NotFound.

    Whom it registered it names. NothingToActOn when nothing is asked of it, or it acted before.
    """
    if (what == "registered") != (household_id is not None):
        raise BadValue(field="household_id", reason="of whom was registered, and of nobody else")
    appeal = await load_appeal(conn, appeal_id)
    if appeal.partner_id != who.partner_id or appeal.state != "to_act":
        raise NothingToActOn(appeal_id=appeal_id)
    row = {
        "appeal_id": appeal_id,
        "partner_id": who.partner_id,
        "what": what,
        "actor_id": who.actor_id,
        "done_at": who.at,
        "household_id": household_id,
    }
    if household_id is not None and not await conn.scalar(
        select(households.c.size).where(households.c.household_id == household_id)
    ):
        raise NotFound(what="household", wanted=household_id)
    await _add(conn, insert(tables.appeal_done).values(row), appeal_id)
    return await load_appeal(conn, appeal_id)


async def read_statement(
    conn: AsyncConnection, appeal_id: UUID, *, vault: Vault, who: Who
) -> Statement:
    """Open what the person said, for the organisation that reviews; the reading is written down.

    Raises NotFound, NotTheReviewer, StatementErased.
    """
    appeal = await load_appeal(conn, appeal_id)
    asked = appeal.assignments[-1] if appeal.assignments else None
    if asked is None or asked.reviewer_partner_id != who.partner_id:
        raise NotTheReviewer(appeal_id=appeal_id)
    key = tables.appeal_key.c
    sealed = await conn.scalar(
        select(tables.appeal.c.sealed).where(tables.appeal.c.appeal_id == appeal_id)
    )
    row = (
        await conn.execute(select(key.kek_id, key.wrapped).where(key.appeal_id == appeal_id))
    ).one_or_none()
    if row is None:
        raise StatementErased(appeal_id=appeal_id)
    await conn.execute(
        insert(tables.appeal_reading).values(appeal_id=appeal_id, at=who.at).inline()
    )
    wrapped = WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped)
    opened = vault.unwrap(wrapped, appeal_id)
    return open_as(opened, sealed or b"", Statement, kind="appeal", owner=appeal_id)


async def list_readings(conn: AsyncConnection, *, after: int, limit: int) -> list[Reading]:
    """Return who opened what people said, oldest first, to auditors."""
    reading = tables.appeal_reading.c
    rows = await conn.execute(
        select(tables.appeal_reading)
        .where(reading.reading_no > after)
        .order_by(reading.reading_no)
        .limit(limit)
    )
    return [_as(row, Reading) for row in rows]


async def _add(conn: AsyncConnection, adding: Insert, appeal_id: UUID) -> None:
    try:
        async with conn.begin_nested():
            await conn.execute(adding)
    except IntegrityError as error:
        refused: dict[str, type[CbiRefusal]] = {
            "appeal_outcome_once": AppealDecided,
            "appeal_outcome_by_reviewer": NotTheReviewer,
            "appeal_outcome_of_assignment": NotTheReviewer,
            "appeal_reviewer_elsewhere": ReviewerTookPart,
            "appeal_outcome_elsewhere": ReviewerTookPart,
            "appeal_reviewer_took_part": ReviewerTookPart,
            "appeal_done_once": NothingToActOn,
        }
        raise refused[constraint_of(error)](appeal_id=appeal_id) from error  # type: ignore[call-arg]


async def _asked(
    conn: AsyncConnection, partner: str | None, person: str | None, who: Who
) -> tuple[UUID, UUID | None]:
    if partner is not None and person is not None:
        raise BadValue(field="person", reason="an organisation or a person, not both")
    if partner is not None:
        found = await partners.find(conn, partner)
        if found is None:
            raise BadValue(field="partner", reason="unknown")
        return found, None
    if person is None:
        return who.partner_id, who.actor_id
    colleague = await conn.scalar(
        select(actors.c.actor_id).where(
            actors.c.partner_id == who.partner_id, actors.c.handle == person
        )
    )
    if colleague is None:
        raise BadValue(field="person", reason="unknown")
    return who.partner_id, colleague


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    appeal = tables.appeal.c
    decided = _has(tables.appeal_outcome)
    assigned, done = _has(tables.appeal_assignment), _has(tables.appeal_done)
    effect = tables.appeal_effect.c
    acting = effect.appeal_id == appeal.appeal_id
    must_act = exists().where(acting, effect.kind == "must_act")
    of_state: dict[State, ColumnElement[bool]] = {
        "waiting": and_(~decided, ~assigned),
        "assigned": and_(~decided, assigned),
        "decided": and_(decided, ~must_act),
        "to_act": and_(must_act, ~done),
        "done": done,
    }
    conditions = [] if wanted.state is None else [of_state[wanted.state]]
    if wanted.overdue_on is not None:
        late = exists().where(acting, effect.act_by < wanted.overdue_on)
        conditions.append(or_(and_(~decided, appeal.due_on < wanted.overdue_on), and_(late, ~done)))
    if wanted.reviewer_partner_id is not None or wanted.reviewer_actor_id is not None:
        asked = tables.appeal_assignment.c
        newest = (
            select(func.max(asked.assignment_no))
            .where(asked.appeal_id == appeal.appeal_id)
            .correlate(tables.appeal)
            .scalar_subquery()
        )
        mine = [asked.assignment_no == newest]
        if wanted.reviewer_partner_id is not None:
            mine.append(asked.reviewer_partner_id == wanted.reviewer_partner_id)
        if wanted.reviewer_actor_id is not None:
            mine.append(asked.reviewer_actor_id == wanted.reviewer_actor_id)
        conditions.append(exists().where(*mine))
    return conditions


def _has(table: Table) -> ColumnElement[bool]:
    return exists().where(table.c.appeal_id == tables.appeal.c.appeal_id)


async def _views(conn: AsyncConnection, query: Select[Any]) -> list[Appeal]:
    rows = (await conn.execute(query)).all()
    ids = [row.appeal_id for row in rows]
    if not ids:
        return []
    refused = {
        row.appeal_id: msgspec.convert(row._mapping, Refused)  # noqa: SLF001 -- public by its docs
        for row in await conn.execute(_APPEALED, {"wanted": ids})
    }
    assignments: dict[UUID, list[Assigned]] = {}
    for row in await _of(conn, tables.appeal_assignment, ids):
        assignments.setdefault(row.appeal_id, []).append(_as(row, Assigned))
    decided = {row.appeal_id: row for row in await _of(conn, tables.appeal_outcome, ids)}
    effects = {row.appeal_id: row for row in await _of(conn, tables.appeal_effect, ids)}
    acted = {row.appeal_id: row for row in await _of(conn, tables.appeal_done, ids)}
    return [
        Appeal(
            appeal_id=row.appeal_id,
            partner_id=row.partner_id,
            intake_partner_id=row.intake_partner_id,
            by_token=row.by_token,
            language=row.language,
            channel=row.channel,
            contact=row.contact,
            taken_at=row.taken_at,
            due_on=row.due_on,
            refused=refused[row.appeal_id],
            assignments=tuple(assignments.get(row.appeal_id, ())),
            decided=_maybe(decided.get(row.appeal_id), Decided),
            effect=_maybe(effects.get(row.appeal_id), Effect),
            acted=_maybe(acted.get(row.appeal_id), Acted),
        )
        for row in rows
    ]


async def _of(conn: AsyncConnection, table: Table, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    order = next(iter(table.primary_key))
    query = select(table).where(table.c.appeal_id.in_(ids)).order_by(order)
    return (await conn.execute(query)).all()


def _as(row: Row[Any], type_: type[T]) -> T:
    return msgspec.convert(row._mapping, type_)  # noqa: SLF001 -- public by its docs


def _maybe(row: Row[Any] | None, type_: type[T]) -> T | None:
    return None if row is None else _as(row, type_)
