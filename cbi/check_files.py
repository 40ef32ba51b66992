"""Files that are checked as a job: sealed while they are here, and gone after a week.

A file and what is found of it are sealed under a key of their own. The worker destroys the key;
the row that somebody had a file checked stays, which says nothing of the people in it.
"""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.check_tables import check_file, check_file_key, check_file_piece
from cbi.lists import Listed, Purpose
from cbi.overlap import Span
from cbi.own import Wanted
from cbi.place import UbigeoSystem
from cbi.refusal import NotFound
from cbi.vault import Vault, WrappedKey, open_bytes, seal

KEPT_DAYS = 7
CheckFormat = Literal["csv", "xlsx", "json", "ndjson", "kobo"]
What = Literal["asked", "read", "twice", "answers", "checked"]


class CheckFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to check: what for, and until when it and its answer are kept."""

    file_id: UUID
    format: CheckFormat
    ubigeo_system: UbigeoSystem | None
    purpose: Purpose
    listed: Listed
    wanted: Wanted | None
    kept_until: datetime


class Opened(msgspec.Struct, frozen=True):
    """A file whose key is there still."""

    file: CheckFile
    key: bytes
    partner_id: UUID


async def receive(
    conn: AsyncConnection,
    file: CheckFile,
    content: bytes,
    *,
    vault: Vault,
    partner_id: UUID,
    at: datetime,
) -> None:
    """Store a file sealed, with a key of its own."""
    wanted = file.wanted
    months = Range(wanted.months.first, wanted.months.end) if wanted is not None else None
    await conn.execute(
        insert(check_file).values(
            file_id=file.file_id,
            partner_id=partner_id,
            format=file.format,
            ubigeo_system=file.ubigeo_system,
            purpose=file.purpose,
            **file.listed.column,
            assistance=wanted.assistance if wanted is not None else None,
            months=months,
            received_at=at,
            kept_until=file.kept_until,
        )
    )
    key, wrapped = vault.new_key(file.file_id)
    await conn.execute(
        insert(check_file_key).values(
            file_id=file.file_id,
            partner_id=partner_id,
            kek_id=wrapped.kek_id,
            wrapped=wrapped.wrapped,
        )
    )
    await put(conn, Opened(file, key, partner_id), "asked", content)


def kept_until(at: datetime) -> datetime:
    """Return when a file that comes now is gone."""
    return at + timedelta(days=KEPT_DAYS)


async def load(conn: AsyncConnection, file_id: UUID, *, vault: Vault) -> Opened:
    """Load a file of the caller's own organisation; raises NotFound, also when its key is gone."""
    file, key = check_file.c, check_file_key.c
    row = (
        await conn.execute(
            select(check_file, key.kek_id, key.wrapped)
            .join_from(check_file, check_file_key, key.file_id == file.file_id)
            .where(file.file_id == file_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="file", wanted=file_id)
    wrapped = WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped)
    wanted = None
    if row.months is not None:
        months = Span(first=row.months.lower, end=row.months.upper)
        wanted = Wanted(assistance=row.assistance, months=months)
    kinds: tuple[Literal["list", "programme", "round"], ...] = ("list", "programme", "round")
    (listed,) = (
        Listed(kind=kind, list_id=list_id)
        for kind in kinds
        if (list_id := row._mapping[f"{kind}_id"]) is not None  # noqa: SLF001 -- public by its docs
    )
    found = CheckFile(
        file_id=file_id,
        format=row.format,
        ubigeo_system=row.ubigeo_system,
        purpose=row.purpose,
        listed=listed,
        wanted=wanted,
        kept_until=row.kept_until,
    )
    return Opened(found, vault.unwrap(wrapped, file_id), row.partner_id)


async def put(
    conn: AsyncConnection, opened: Opened, what: What, content: bytes, *, piece_no: int = 0
) -> None:
    """Seal a piece and store it."""
    file_id = opened.file.file_id
    await conn.execute(
        insert(check_file_piece).values(
            file_id=file_id,
            what=what,
            piece_no=piece_no,
            partner_id=opened.partner_id,
            sealed=seal(opened.key, content, kind=f"{what} {piece_no}", owner=file_id),
        )
    )


async def pieces(
    conn: AsyncConnection, opened: Opened, what: What, *, only: int | None = None
) -> list[bytes]:
    """Open the pieces of one kind, in their order, or only that one."""
    piece, file_id = check_file_piece.c, opened.file.file_id
    query = select(piece.piece_no, piece.sealed).where(piece.file_id == file_id, piece.what == what)
    if only is not None:
        query = query.where(piece.piece_no == only)
    rows = await conn.execute(query.order_by(piece.piece_no))
    return [
        open_bytes(opened.key, row.sealed, kind=f"{what} {row.piece_no}", owner=file_id)
        for row in rows
    ]


async def destroy_over(conn: AsyncConnection) -> int:
    """Destroy the keys of files whose week is over, as the worker; return how many."""
    return (await conn.execute(delete(check_file_key))).rowcount
