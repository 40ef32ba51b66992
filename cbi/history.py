"""Tell what happened to a household, oldest first."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.event import Kind, Reason
from cbi.event_tables import household_event, household_version
from cbi.identities import Identity, SealedHousehold, note_access
from cbi.person import Person
from cbi.refusal import IdentityErased, NotFound
from cbi.vault import Vault, WrappedKey, open_as

# The rows that stood then: of each person the newest that began by that version.
_PERSONS = text("""
    SELECT p.person_id, w.sealed FROM cbi.person AS p
    CROSS JOIN LATERAL (
        SELECT r.sealed, r.gone FROM (
            SELECT p.version, p.sealed, p.gone
            UNION ALL
            SELECT v.version, v.sealed, v.gone FROM cbi.person_version AS v
            WHERE v.person_id = p.person_id) AS r
        WHERE r.version <= :version ORDER BY r.version DESC LIMIT 1) AS w
    WHERE p.household_id = :household_id AND w.gone IS NULL AND w.sealed <> ''
    ORDER BY p.ordinal""")


_CAME = text("""
    SELECT o.at, s.taken_on, s.provisional_from, s.provisional_until
    FROM cbi.import_outcome AS o JOIN cbi.import_row_standing AS s USING (import_id, row_no)
    WHERE o.household_id = :household_id AND NOT o.is_known AND s.provisional_from IS NOT NULL""")
_PROVISIONAL = ("taken_on", "provisional_from", "provisional_until")


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
    # Of what came in a file that was taken before: when that was, and from when until when it was
    # provisional. Before that it is told of the file's row only.
    taken_on: date | None = None
    provisional_from: datetime | None = None
    provisional_until: datetime | None = None


async def list_events(
    conn: AsyncConnection, household_id: UUID, *, after: int, limit: int
) -> list[Told]:
    """List events by version, the registration first; raises NotFound."""
    home, actor, event = tables.household.c, tables.actor.c, household_event.c
    row = (
        await conn.execute(
            select(
                home.registered_at,
                # Peru's day.
                func.date(func.timezone("America/Lima", home.registered_at)).label("on"),
                actor.handle,
            )
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
        happened_on=row.on,
        persons_in=0,
        persons_out=0,
        other_household_id=None,
        has_note=False,
        by=row.handle or "",
        at=row.registered_at,
    )
    left_out = {"has_note", "note", "by", *_PROVISIONAL}
    columns = (name for name in Told.__struct_fields__ if name not in left_out)
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
    told = [first, *told][:limit] if after < 1 else told
    came = await _came(conn, household_id)
    return [
        msgspec.structs.replace(each, **came[each.at])
        if each.kind in ("registered", "updated") and each.at in came
        else each
        for each in told
    ]


async def _came(conn: AsyncConnection, household_id: UUID) -> dict[datetime, dict[str, Any]]:
    """Return by the moment of an event what is known of the row of a file that it came from."""
    rows = await conn.execute(_CAME, {"household_id": household_id})
    return {at: dict(zip(_PROVISIONAL, facts, strict=True)) for at, *facts in rows}


async def open_notes(
    conn: AsyncConnection, household_id: UUID, told: Sequence[Told], *, vault: Vault, purpose: str
) -> list[Told]:
    """Open what was noted with events, which is written down; nothing of an erased household."""
    await note_access(conn, [household_id], purpose=purpose)
    secret = await _key(conn, household_id, vault)
    if secret is None:
        return list(told)
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


async def open_version(
    conn: AsyncConnection, household_id: UUID, version: int, *, vault: Vault, purpose: str
) -> Identity:
    """Open a household as it stood in a version; raises NotFound, IdentityErased."""
    home, kept = tables.household.c, household_version.c
    columns = ("version", "ubigeo", "sealed")
    found = await conn.execute(
        union_all(
            select(*(home[name] for name in columns)).where(
                home.household_id == household_id, home.version == version
            ),
            # Through the household, whose rule also knows the area of a key.
            select(*(kept[name] for name in columns))
            .join_from(household_version, tables.household, home.household_id == kept.household_id)
            .where(kept.household_id == household_id, kept.version == version),
        )
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound(what="version", wanted=household_id)
    await note_access(conn, [household_id], purpose=purpose)
    key = await _key(conn, household_id, vault)
    if key is None:
        raise IdentityErased(household_id=household_id)
    persons = await conn.execute(_PERSONS, {"household_id": household_id, "version": version})
    return Identity(
        household_id=household_id,
        ubigeo=row.ubigeo,
        household=open_as(key, row.sealed, SealedHousehold, kind="household", owner=household_id),
        persons=tuple(
            open_as(key, sealed, Person, kind="person", owner=person_id)
            for person_id, sealed in persons
        ),
    )


async def _key(conn: AsyncConnection, household_id: UUID, vault: Vault) -> bytes | None:
    found = await conn.execute(
        select(tables.data_key).where(tables.data_key.c.household_id == household_id)
    )
    key = found.one_or_none()
    if key is None:
        return None
    return vault.unwrap(WrappedKey(kek_id=key.kek_id, wrapped=key.wrapped), household_id)


async def gone_of(conn: AsyncConnection, case_ids: Sequence[UUID]) -> Mapping[UUID, Counter[str]]:
    """Count, of each case that one may see, the matched persons who left or died."""
    found: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    if not case_ids:
        return found
    rows = await conn.execute(
        text("SELECT case_id, gone FROM cbi.gone_of(:case_ids ::uuid[])"),
        {"case_ids": list(case_ids)},
    )
    for case_id, gone in rows:
        found[case_id][gone] += 1
    return found
