"""Terms of a programme that one person entered and another approved."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from uuid import uuid5

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from api import db
from cbi import term, terms
from cbi.enrol import Programme
from cbi.term import Kind, Term
from cbi.term_tables import calculation_basis
from cbi.who import Who

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
SINCE = date(2026, 1, 1)


def who_of(actor: db.Actor, at: datetime = AT) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=at)


def second(actor: db.Actor) -> db.Actor:
    """Another person of the same organisation, who approves."""
    return msgspec.structs.replace(actor, actor_id=uuid5(actor.partner_id, "approves"))


async def approved_term(conn: AsyncConnection, programme: Programme, added: Term, who) -> Term:
    """Let another person approve a term; the actor is `who` again afterwards."""
    other = second(who)
    await db.set_facts(conn, other)
    found = await terms.approve(
        conn,
        programme_id=programme.programme_id,
        kind=added.kind,
        version=added.version,
        who=who_of(other),
    )
    await db.set_facts(conn, who)
    return found


async def entered(
    conn: AsyncConnection, programme: Programme, kind: Kind, raw: object, who, since=SINCE
) -> Term:
    await db.set_facts(conn, who)
    return await terms.add(
        conn,
        programme_id=programme.programme_id,
        kind=kind,
        effective_from=since,
        content=term.read(kind, raw, currency=programme.currency),
        who=who_of(who),
    )


async def agreed(
    conn: AsyncConnection, programme: Programme, kind: Kind, raw: object, who, since=SINCE
) -> Term:
    """A term that counts."""
    added = await entered(conn, programme, kind, raw, who, since)
    return await approved_term(conn, programme, added, who)


async def valued(
    conn: AsyncConnection,
    programme: Programme,
    by_size: Mapping[int, int],
    *,
    who,
    effective_from: date = SINCE,
    area: str = "",
    is_approved: bool = True,
):
    """A value table, approved unless it is not to be."""
    await db.set_facts(conn, who)
    table = await terms.set_values(
        conn,
        programme_id=programme.programme_id,
        currency=programme.currency,
        by_size=by_size,
        effective_from=effective_from,
        area=area,
        who=who_of(who),
    )
    if is_approved:
        added = await terms.load_term(conn, programme.programme_id, "values", table.version)
        await approved_term(conn, programme, added, who)
    return table


async def basis_by_hand(conn: AsyncConnection, round_id, who, **changes) -> None:
    """Say past the program what a round is calculated on."""
    facts = {
        "round_id": round_id,
        "partner_id": who.partner_id,
        "actor_id": who.actor_id,
        "at": AT,
        "value_versions": [1],
        "cap_nos": [],
    }
    await db.set_facts(conn, who)
    await conn.execute(insert(calculation_basis).values(facts | changes))
