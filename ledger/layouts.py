"""Keep the layouts of an organisation's tables, version after version."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.formats.layout import Layout, check
from ledger.refusal import LayoutJustChanged, LayoutMalformed, LayoutUnknown

_ADD = text("""
    INSERT INTO ledger.statement_layout (partner_id, code, version, layout, added_at, actor_id)
    VALUES (:partner_id, :code, :version, CAST(:layout AS jsonb), :at, :actor_id)""")
_LOAD = text("""
    SELECT code, version, CAST(layout AS text) AS layout, added_at, actor_id
    FROM ledger.statement_layout
    WHERE partner_id = :partner_id AND code = :code
        AND (CAST(:version AS integer) IS NULL OR version = :version)
    ORDER BY version DESC LIMIT 1""")
_PAGE = text("""
    SELECT code, version, CAST(layout AS text) AS layout, added_at, actor_id
    FROM ledger.statement_layout
    WHERE partner_id = :partner_id AND (code, version) > (:code, :version)
    ORDER BY code, version LIMIT :limit""")


class KeptLayout(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a layout."""

    code: str
    version: int
    layout: Layout
    added_at: datetime
    actor_id: UUID


async def add(
    conn: AsyncConnection,
    code: str,
    layout: Layout,
    *,
    partner_id: UUID,
    at: datetime,
    actor_id: UUID,
) -> KeptLayout:
    """Keep a layout as the newest version of its code; the same as the newest adds nothing.

    Raises LayoutMalformed with all its faults, and LayoutJustChanged where somebody else was first.
    """
    faults = check(layout)
    if faults:
        raise LayoutMalformed(faults=[(fault.path, fault.reason) for fault in faults])
    newest = await _newest(conn, code, partner_id=partner_id)
    if newest is not None and newest.layout == layout:
        return newest
    version = 1 if newest is None else newest.version + 1
    facts = {"partner_id": partner_id, "code": code, "version": version, "actor_id": actor_id}
    try:
        async with conn.begin_nested():
            written = msgspec.json.encode(layout).decode()
            await conn.execute(_ADD, {**facts, "layout": written, "at": at})
    except IntegrityError as error:
        raise LayoutJustChanged(code=code) from error
    return KeptLayout(code=code, version=version, layout=layout, added_at=at, actor_id=actor_id)


async def load(
    conn: AsyncConnection, code: str, *, version: int | None = None, partner_id: UUID
) -> KeptLayout:
    """Return a layout, its newest version unless told another; raises LayoutUnknown."""
    found = await _newest(conn, code, version=version, partner_id=partner_id)
    if found is None:
        raise LayoutUnknown(code=code, version=version)
    return found


async def page(
    conn: AsyncConnection, *, code: str, version: int, limit: int, partner_id: UUID
) -> list[KeptLayout]:
    """Return the versions after a code's version, by code and version."""
    facts = {"partner_id": partner_id, "code": code, "version": version, "limit": limit}
    return [_kept(dict(row)) for row in (await conn.execute(_PAGE, facts)).mappings()]


async def _newest(
    conn: AsyncConnection, code: str, *, version: int | None = None, partner_id: UUID
) -> KeptLayout | None:
    facts = {"partner_id": partner_id, "code": code, "version": version}
    row = (await conn.execute(_LOAD, facts)).mappings().one_or_none()
    return None if row is None else _kept(dict(row))


def _kept(row: dict[str, object]) -> KeptLayout:
    layout = msgspec.json.decode(str(row["layout"]), type=Layout)
    return msgspec.convert({**row, "layout": layout}, KeptLayout)
