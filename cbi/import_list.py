"""List the files that an organisation brought in."""

from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.imported import ImportEntry
from cbi.staging import STATE_COLUMNS, STATE_JOINS, state_of

_LISTED = text(f"""
    SELECT q.import_id, q.format, q.bytes, q.opened_at, {STATE_COLUMNS}
    FROM (SELECT f.import_id, f.format, f.bytes, f.opened_at FROM cbi.import_file AS f
          WHERE f.partner_id = :partner_id
            AND (:before ::uuid IS NULL OR f.import_id < :before ::uuid)
          ORDER BY f.import_id DESC LIMIT :limit) AS q {STATE_JOINS}
    ORDER BY q.import_id DESC""")  # noqa: S608 -- our own columns


async def list_imports(
    conn: AsyncConnection, *, before: UUID | None, limit: int, partner_id: UUID
) -> list[ImportEntry]:
    """Return a page of an organisation's imports, newest first, without counting their rows."""
    facts = {"before": before, "limit": limit, "partner_id": partner_id}
    rows = await conn.execute(_LISTED, facts)
    return [
        msgspec.convert({**row._mapping, "state": state_of(row)}, ImportEntry)  # noqa: SLF001
        for row in rows
    ]
