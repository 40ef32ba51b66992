"""Tell what happened to a household, oldest first."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.event import Kind, Reason
from cbi.event_tables import household_event
from cbi.identities import note_access
from cbi.refusal import NotFound
from cbi.vault import Vault, WrappedKey, open_as


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One event: what, why, on what day, by whom and when; `note` only where it was asked for."""

    version: int
    kind: Kind | str
    reason: Reason | None
    consent: str | None
    happened_on: date
    persons_in: int
    persons_out: int
    other_household_id: UUID | None
    has_note: bool
    note: str | None = None
    by: str
    at: datetime


async def list_events(
    conn: AsyncConnection, household_id: UUID, *, after: int, limit: int
) -> list[Told]:
    """List events by version, the registration first; raises NotFound."""
    home, actor, event = tables.household.c, tables.actor.c, household_event.c
    row = (
        await conn.execute(
            select(home.registered_at, actor.handle)
            .outerjoin_from(tables.household, tables.actor, actor.actor_id == home.registered_by)
            .where(home.household_id == household_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="household", wanted=household_id)
    first = Told(
        version=1,
        kind="registered",
        reason=None,
        consent=None,
        happened_on=row.registered_at.date(),
        persons_in=0,
        persons_out=0,
        other_household_id=None,
        has_note=False,
        by=row.handle or "",
        at=row.registered_at,
    )
    columns = (name for name in Told.__struct_fields__ if name not in {"has_note", "note", "by"})
    rows = await conn.execute(
        select(
            *(event[name] for name in columns),
            event.note.is_not(None).label("has_note"),
            actor.handle.label("by"),
        )
        .outerjoin_from(household_event, tables.actor, actor.actor_id == event.actor_id)
        .where(event.household_id == household_id, event.version > after)
        .order_by(event.version)
        .limit(limit)
    )
    told = [
        Told(**{**each._mapping, "by": each.by or ""})  # noqa: SLF001 -- public by its docs
        for each in rows
    ]
    return [first, *told][:limit] if after < 1 else told


async def open_notes(
    conn: AsyncConnection, household_id: UUID, told: Sequence[Told], *, vault: Vault, purpose: str
) -> list[Told]:
    """Open what was noted with events, which is written down; nothing of an erased household."""
    await note_access(conn, [household_id], purpose=purpose)
    key = (
        await conn.execute(
            select(tables.data_key).where(tables.data_key.c.household_id == household_id)
        )
    ).one_or_none()
    if key is None:
        return list(told)
    secret = vault.unwrap(WrappedKey(kek_id=key.kek_id, wrapped=key.wrapped), household_id)
    event = household_event.c
    rows = await conn.execute(
        select(event.version, event.event_id, event.note).where(
            event.household_id == household_id,
            event.note.is_not(None),
            event.version.in_([each.version for each in told]),
        )
    )
    notes = {
        row.version: open_as(secret, row.note, str, kind="event", owner=row.event_id)
        for row in rows
    }
    return [msgspec.structs.replace(each, note=notes.get(each.version)) for each in told]
