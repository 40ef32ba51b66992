"""The lists that an organisation may check: its programmes, its open rounds, and named ones.

Who can't say on which of its lists somebody stands has no reason to ask about that person.
"""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import check_tables
from cbi.refusal import ListNotActive, NotFound

Purpose = Literal["before_registration", "before_enrolment", "before_payment"]
Kind = Literal["list", "programme", "round"]

# What an id names, of what row-level security shows, and whether it may be checked for this.
_NAMED = text("""
    SELECT 'list' AS kind, l.until >= :day AND l.purpose = :purpose AS is_active
    FROM cbi.check_list AS l WHERE l.list_id = :list_id AND l.partner_id = :partner_id
    UNION ALL
    SELECT 'programme', true FROM cbi.programme AS p
    WHERE p.programme_id = :list_id AND p.partner_id = :partner_id
    UNION ALL
    SELECT 'round', :purpose = 'before_payment' AND NOT EXISTS (
        SELECT FROM cbi.round_step AS s WHERE s.round_id = r.round_id AND s.step = 5)
    FROM cbi.round AS r WHERE r.round_id = :list_id AND r.partner_id = :partner_id""")


class CheckList(msgspec.Struct, frozen=True, kw_only=True):
    """A named list of people whom an organisation is about to take in, until its last day."""

    list_id: UUID
    name: str
    purpose: Purpose
    until: date


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a check is made for: a named list, a programme or a round."""

    kind: Kind
    list_id: UUID

    @property
    def column(self) -> dict[str, UUID]:
        """Where it is written down."""
        return {f"{self.kind}_id": self.list_id}


async def open_list(conn: AsyncConnection, opened: CheckList, *, at: datetime) -> CheckList:
    """Open a named list of the caller's own organisation."""
    await conn.execute(
        insert(check_tables.check_list).values(msgspec.structs.asdict(opened) | {"opened_at": at})
    )
    return opened


async def list_lists(
    conn: AsyncConnection, *, after: UUID | None = None, limit: int
) -> list[CheckList]:
    """List the named lists that the caller may see, oldest first."""
    column = check_tables.check_list.c
    query = select(column.list_id, column.name, column.purpose, column.until)
    if after is not None:
        query = query.where(column.list_id > after)
    rows = await conn.execute(query.order_by(column.list_id).limit(limit))
    return [msgspec.convert(row._mapping, CheckList) for row in rows]  # noqa: SLF001 -- public by its docs


async def active(
    conn: AsyncConnection, list_id: UUID, *, purpose: Purpose, partner_id: UUID, day: date
) -> Listed:
    """Return what an id names; raises NotFound, and ListNotActive for what is over or for else."""
    row = (
        await conn.execute(
            _NAMED, {"list_id": list_id, "purpose": purpose, "partner_id": partner_id, "day": day}
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="list", wanted=list_id)
    if not row.is_active:
        raise ListNotActive(list_id=list_id)
    return Listed(kind=row.kind, list_id=list_id)
