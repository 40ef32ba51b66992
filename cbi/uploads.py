"""Take in a file of registrations piece by piece, sealed under a key of its own."""

import asyncio
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import delete, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.import_refusal import ImportErased, PieceDiffers, TooManyImports
from cbi.import_tables import import_file, import_key, import_piece
from cbi.imported import Import, NewImport
from cbi.intake import BYTES_MAX
from cbi.refusal import BadValue, FileUnreadable, NotFound, OutsideArea
from cbi.vault import Vault, WrappedKey, open_bytes, seal
from ledger.violation import constraint_of

_COLUMNS = (
    "import_id, partner_id, actor_id, area, file_digest, attempt_no, bytes, format,"
    " ubigeo_system, accept_valid, opened_at"
)
# The last import of a file, and whether another may follow it.
_LAST = text(f"""
    SELECT {_COLUMNS}, EXISTS (
        SELECT FROM cbi.import_decision AS d WHERE d.import_id = f.import_id AND d.take = 'nothing'
    ) OR EXISTS (
        SELECT FROM cbi.job_standing AS j WHERE j.subject_id = f.import_id AND j.state IN
            ('failed', 'cancelled')
    ) OR NOT EXISTS (SELECT FROM cbi.import_key AS k WHERE k.import_id = f.import_id)
      AND NOT EXISTS (SELECT FROM cbi.import_decision AS d WHERE d.import_id = f.import_id)
        AS is_over
    FROM cbi.import_file AS f
    WHERE f.partner_id = :partner_id AND f.file_digest = :file_digest
      AND f.format = :format AND f.ubigeo_system = :ubigeo_system
    ORDER BY f.attempt_no DESC LIMIT 1""")  # noqa: S608 -- our own columns
_BEFORE = text("""
    DELETE FROM cbi.import_key AS k USING cbi.import_file AS f
    WHERE f.import_id = k.import_id AND f.opened_at < :before RETURNING k.import_id""")


async def open_upload(
    conn: AsyncConnection,
    new: NewImport,
    *,
    import_id: UUID,
    vault: Vault,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    at: datetime,
) -> Import:
    """Open an upload; the same file again is the import that it already is.

    Unless that one was refused, broke, or was erased before anybody decided on it. Raises
    FileUnreadable, BadValue, TooManyImports, and OutsideArea for a file of a wider area.
    """
    if new.bytes > BYTES_MAX:
        raise FileUnreadable(line=0, reason="too_large")
    if new.bytes == 0:
        raise FileUnreadable(line=0, reason="empty")
    facts = {
        "partner_id": partner_id,
        "file_digest": new.sha256,
        "format": new.format,
        "ubigeo_system": new.ubigeo_system,
    }
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"),
        {"lock": f"cbi.import {partner_id} {new.sha256.hex()}"},
    )
    last = (await conn.execute(_LAST, facts)).one_or_none()
    if last is not None and not last.is_over:
        known: Import = msgspec.convert(last._mapping, Import)  # noqa: SLF001
        if known.bytes != new.bytes:
            raise BadValue(field="bytes", reason="another_size_of_this_digest")
        return known
    made = Import(
        import_id=import_id,
        actor_id=actor_id,
        area=area,
        attempt_no=1 if last is None else last.attempt_no + 1,
        bytes=new.bytes,
        format=new.format,
        ubigeo_system=new.ubigeo_system,
        accept_valid=new.accept_valid,
        opened_at=at,
        partner_id=partner_id,
        file_digest=new.sha256,
    )
    await _keep(conn, made, vault=vault)
    return made


async def _keep(conn: AsyncConnection, made: Import, *, vault: Vault) -> None:
    _, wrapped = vault.new_key(made.import_id)
    try:
        await conn.execute(insert(import_file).values(msgspec.structs.asdict(made)))
        await conn.execute(
            insert(import_key).values(
                import_id=made.import_id,
                partner_id=made.partner_id,
                kek_id=wrapped.kek_id,
                wrapped=wrapped.wrapped,
            )
        )
    except IntegrityError as error:
        broken = constraint_of(error)
        if broken == "import_kept_max":
            raise TooManyImports from error
        if broken == "import_file_once":
            # Somebody with a wider area has sent it.
            raise OutsideArea(area=made.area) from error
        raise


async def load_import(conn: AsyncConnection, import_id: UUID) -> Import:
    """Return an import of one's own organisation; raises NotFound."""
    row = (
        await conn.execute(
            text(f"SELECT {_COLUMNS} FROM cbi.import_file WHERE import_id = :import_id"),  # noqa: S608
            {"import_id": import_id},
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="import", wanted=import_id)
    return msgspec.convert(row._mapping, Import)  # noqa: SLF001 -- public by its docs


async def key_if_kept(conn: AsyncConnection, import_id: UUID, *, vault: Vault) -> bytes | None:
    """Return the import's own key, or None once that is destroyed."""
    try:
        return await key_of(conn, import_id, vault=vault)
    except ImportErased:
        return None


async def key_of(conn: AsyncConnection, import_id: UUID, *, vault: Vault) -> bytes:
    """Return the import's own key; raises ImportErased once that is destroyed."""
    key = import_key.c
    row = (
        await conn.execute(select(key.kek_id, key.wrapped).where(key.import_id == import_id))
    ).one_or_none()
    if row is None:
        raise ImportErased(import_id=import_id)
    return vault.unwrap(WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped), import_id)


async def put_piece(
    conn: AsyncConnection, opened: Import, piece_no: int, content: bytes, *, vault: Vault
) -> bool:
    """Keep a piece sealed; True when with it all are there. The same piece again changes nothing.

    Raises BadValue for a piece that can't be one of the file, PieceDiffers, ImportErased.
    """
    if not 1 <= piece_no <= opened.pieces:
        raise BadValue(field="piece_no", reason="no_such_piece")
    if len(content) != opened.bytes_of(piece_no):
        raise BadValue(field="piece", reason="wrong_length")
    digest = sha256(content).digest()
    key = await key_of(conn, opened.import_id, vault=vault)
    sealed = await asyncio.to_thread(
        seal, key, content, kind=f"import {piece_no}/{opened.pieces}", owner=opened.import_id
    )
    # One piece at a time, so that exactly one is the last.
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"),
        {"lock": f"cbi.import {opened.import_id}"},
    )
    kept = await conn.execute(
        postgresql.insert(import_piece)
        .values(
            import_id=opened.import_id,
            piece_no=piece_no,
            partner_id=opened.partner_id,
            digest=digest,
            sealed=sealed,
        )
        .on_conflict_do_nothing(constraint="import_piece_pkey")
    )
    if kept.rowcount == 0:
        piece = import_piece.c
        known = await conn.scalar(
            select(piece.digest).where(
                piece.import_id == opened.import_id, piece.piece_no == piece_no
            )
        )
        if known != digest:
            raise PieceDiffers(import_id=opened.import_id, piece_no=piece_no)
        return False
    return len(await received(conn, opened.import_id)) == opened.pieces


async def received(conn: AsyncConnection, import_id: UUID) -> tuple[int, ...]:
    """Return which pieces are there."""
    piece = import_piece.c
    numbers = await conn.scalars(
        select(piece.piece_no).where(piece.import_id == import_id).order_by(piece.piece_no)
    )
    return tuple(numbers)


async def content_of(conn: AsyncConnection, opened: Import, *, vault: Vault) -> bytes:
    """Return the whole file; raises ImportErased, and FileUnreadable if it isn't what was said."""
    key = await key_of(conn, opened.import_id, vault=vault)
    parts = []
    for piece_no in range(1, opened.pieces + 1):
        piece = import_piece.c
        sealed = await conn.scalar(
            select(piece.sealed).where(
                piece.import_id == opened.import_id, piece.piece_no == piece_no
            )
        )
        parts.append(
            await asyncio.to_thread(
                open_bytes,
                key,
                sealed or b"",
                kind=f"import {piece_no}/{opened.pieces}",
                owner=opened.import_id,
            )
        )
    content = b"".join(parts)
    if sha256(content).digest() != opened.file_digest:
        raise FileUnreadable(line=0, reason="digest")
    return content


async def erase(conn: AsyncConnection, import_id: UUID) -> None:
    """Destroy the key of an import: what came of it can't be read any more."""
    await conn.execute(delete(import_key).where(import_key.c.import_id == import_id))


async def erase_old(conn: AsyncConnection, *, before: datetime) -> int:
    """Destroy the keys of everybody's imports that were opened before; by the worker."""
    return len((await conn.execute(_BEFORE, {"before": before})).all())
