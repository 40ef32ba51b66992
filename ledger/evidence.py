"""Keep the bytes that came in, in sealed pieces: of statements, and of what could not be read."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PIECE = text("""
    INSERT INTO ledger.statement_piece (statement_id, piece_no, partner_id, sealed)
    VALUES (:owner_id, :piece_no, :partner_id, :sealed)""")
_PIECES = text("""
    SELECT s.wrapped_key, count(*) AS pieces
    FROM ledger.statement s JOIN ledger.statement_piece p USING (statement_id)
    WHERE s.statement_id = :statement_id GROUP BY s.wrapped_key""")
_PIECE_OF = text("""
    SELECT sealed FROM ledger.statement_piece
    WHERE statement_id = :statement_id AND piece_no = :piece_no""")
_UNREAD = text("""
    INSERT INTO ledger.unread_file (unread_id, partner_id, file_digest, where_, reason, wrapped_key,
        received_at, actor_id)
    VALUES (:unread_id, :partner_id, :file_digest, :where, :reason, :wrapped_key, :received_at,
        :actor_id) ON CONFLICT DO NOTHING""")
_UNREAD_PIECE = text("""
    INSERT INTO ledger.unread_piece (unread_id, piece_no, partner_id, sealed)
    VALUES (:owner_id, :piece_no, :partner_id, :sealed)""")
_UNREAD_PAGE = text("""
    SELECT unread_id, encode(file_digest, 'hex') AS sha256, where_ AS where, reason, received_at,
        actor_id
    FROM ledger.unread_file WHERE unread_id > :after ORDER BY unread_id LIMIT :limit""")


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A file that could not be read: where it broke and why, and nothing of what it says."""

    unread_id: UUID
    sha256: str
    where: str
    reason: str
    received_at: datetime
    actor_id: UUID


async def keep_piece(
    conn: AsyncConnection, statement_id: UUID, piece_no: int, *, sealed: bytes, partner_id: UUID
) -> None:
    """Keep one piece of a statement's sealed bytes, by its number from 1."""
    await conn.execute(_PIECE, _piece(statement_id, piece_no, sealed, partner_id))


async def pieces(conn: AsyncConnection, statement_id: UUID) -> tuple[bytes, int] | None:
    """Return the wrapped key of a file and how many pieces it has; None where it has none."""
    row = (await conn.execute(_PIECES, {"statement_id": statement_id})).one_or_none()
    return None if row is None else (row.wrapped_key, row.pieces)


async def sealed_pieces(
    conn: AsyncConnection, statement_id: UUID, many: int
) -> AsyncIterator[bytes]:
    """Yield a statement's sealed pieces in order, one at a time."""
    for piece_no in range(1, many + 1):
        facts = {"statement_id": statement_id, "piece_no": piece_no}
        yield (await conn.execute(_PIECE_OF, facts)).scalar_one()


async def keep_unread(
    conn: AsyncConnection, unread: Unread, *, wrapped_key: bytes, partner_id: UUID
) -> bool:
    """Keep that a file could not be read; False if this very file was kept before."""
    row = msgspec.structs.asdict(unread) | {
        "file_digest": bytes.fromhex(unread.sha256),
        "wrapped_key": wrapped_key,
        "partner_id": partner_id,
    }
    return (await conn.execute(_UNREAD, row)).rowcount == 1


async def keep_unread_piece(
    conn: AsyncConnection, unread_id: UUID, piece_no: int, *, sealed: bytes, partner_id: UUID
) -> None:
    """Keep one piece of its sealed bytes, by its number from 1."""
    await conn.execute(_UNREAD_PIECE, _piece(unread_id, piece_no, sealed, partner_id))


async def unread_files(conn: AsyncConnection, *, after: UUID, limit: int) -> list[Unread]:
    """Return a page of the files that could not be read, by id."""
    rows = await conn.execute(_UNREAD_PAGE, {"after": after, "limit": limit})
    return [msgspec.convert(dict(row), Unread) for row in rows.mappings()]


def _piece(owner_id: UUID, piece_no: int, sealed: bytes, partner_id: UUID) -> dict[str, object]:
    return {
        "owner_id": owner_id,
        "piece_no": piece_no,
        "sealed": sealed,
        "partner_id": partner_id,
    }
