"""Hand the faulty rows of an imported file back to who staged it, to be mended."""

import asyncio
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import staging, uploads
from cbi.identities import note_access
from cbi.import_refusal import ImportNotReady
from cbi.imported import Import
from cbi.intake.annotate import Language
from cbi.intake.corrections import Note, corrected, notes
from cbi.refusal import NotFound
from cbi.vault import Vault

ROWS_AT_ONCE = 1_000
# What the access log says: the id that stands there is the import's.
PURPOSE = "import corrections"


async def hand_back(
    conn: AsyncConnection, opened: Import, *, vault: Vault, language: Language, actor_id: UUID
) -> bytes:
    """Return a file like the one that came, of its faulty rows, with what is wrong and the remedy.

    Only to who staged it, and the access log keeps that its people were opened. Raises NotFound
    for anybody else, ImportNotReady before it is staged, ImportErased.
    """
    if opened.actor_id != actor_id:
        raise NotFound(what="corrections", wanted=opened.import_id)
    standing = await staging.load_standing(conn, opened)
    if standing.state in ("uploading", "staging"):
        raise ImportNotReady(import_id=opened.import_id, state=standing.state)
    key = await uploads.key_of(conn, opened.import_id, vault=vault)
    content = await uploads.content_of(conn, opened, vault=vault)
    await note_access(conn, [opened.import_id], purpose=PURPOSE)
    faults: dict[tuple[str, int], list[Note]] = {}
    after: int | None = 0
    while after is not None:
        rows = await staging.list_rows(
            conn, opened, status="faulty", after=after, limit=ROWS_AT_ONCE, key=key
        )
        faults |= {(row.sheet, row.line): notes(row.faults, language) for row in rows}
        after = rows[-1].row_no if len(rows) == ROWS_AT_ONCE else None
    return await asyncio.to_thread(
        corrected, content, format=opened.format, faults=faults, language=language
    )
