"""Take in a file of the bank: its exact bytes sealed, its lines for matching."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO, TypeVar
from uuid import UUID, uuid5

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import payer
from cbi.kept import file_id, without_names
from cbi.refusal import AccountNotOurs
from cbi.vault import Vault, WrappedKey, open_bytes, seal
from ledger import evidence, ingest
from ledger.evidence import Unread
from ledger.formats.read import read_file
from ledger.formats.xml import Unreadable
from ledger.ingest import Ingested, Received, Staged
from ledger.layouts import KeptLayout
from ledger.refusal import StatementUnreadable
from ledger.statement import Frame, Line, RejectedLine

T = TypeVar("T")
# These report on an account of ours; the others answer a file of ours.
ACCOUNT_SOURCES = ("camt.053", "camt.054", "mt940", "statement-table")
NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a22")
UNREAD_NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a23")
BATCH = 10_000
PIECE_BYTES = 4 * 1024 * 1024
WHERE_MAX = 300

Parts = Iterator[Line | RejectedLine | Frame]


async def take_in(
    conn: AsyncConnection,
    content: bytes | BinaryIO,
    *,
    vault: Vault,
    matching_key: bytes,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    layout: KeptLayout | None = None,
) -> list[Ingested]:
    """Store the messages of one file, one statement each; the same file again stores nothing.

    A table is read by its layout. The file is read as it is stored and never held as a whole. The
    bytes are sealed under a key of the file's own, for they name people. A bank may write anything
    where an id belongs, a name too: an id that is not ours is kept as a keyed hash.
    Raises StatementUnreadable, StatementRepeated, and AccountNotOurs for a statement of somebody
    else's account: what it says must not settle our payments. After each of them the transaction
    (or the savepoint) is to be rolled back.
    """
    file = BytesIO(content) if isinstance(content, bytes) else content
    digests = await asyncio.to_thread(_Digests, file)
    before = await _known(conn, digests, partner_id=partner_id)
    if before:
        return before
    sealed_id = uuid5(NAMESPACE, f"{partner_id}|{digests.of(0).hex()}")
    key, wrapped = vault.new_key(sealed_id)
    received = Received(
        file_digest=digests.of(0),
        wrapped_key=msgspec.json.encode(wrapped),
        partner_id=partner_id,
        at=at,
        actor_id=actor_id,
        layout_code=None if layout is None else layout.code,
        layout_version=None if layout is None else layout.version,
    )
    parts = read_file(file, layout=None if layout is None else layout.layout)
    try:
        stored = await _store(conn, parts, received, digests, matching_key=matching_key)
    except Unreadable as error:
        raise StatementUnreadable(where=error.where, reason=error.reason) from error
    # The first of several messages in a file carries the bytes of all.
    first = stored[0].statement_id
    if stored[0].repeated:
        return stored
    for number, sealed in _sealed(file, digests.size, key=key, kind="statement", owner=sealed_id):
        await evidence.keep_piece(conn, first, number, sealed=sealed, partner_id=partner_id)
    return stored


async def opened(
    conn: AsyncConnection, statement_id: UUID, *, file_digest: bytes, partner_id: UUID, vault: Vault
) -> AsyncIterator[bytes]:
    """Yield the bytes of the file that a statement came in, piece by piece.

    Yields nothing for the second and later messages of a file. Raises Broken where a piece was
    left out, doubled, moved or altered.
    """
    held = await evidence.pieces(conn, statement_id)
    if held is None:
        return
    wrapped_key, many = held
    sealed_id = uuid5(NAMESPACE, f"{partner_id}|{file_digest.hex()}")
    key = vault.unwrap(msgspec.json.decode(wrapped_key, type=WrappedKey), sealed_id)
    number = 0
    async for sealed in evidence.sealed_pieces(conn, statement_id, many):
        number += 1
        yield open_bytes(key, sealed, kind=f"statement {number}/{many}", owner=sealed_id)


async def keep_unread(
    conn: AsyncConnection,
    content: bytes | BinaryIO,
    refused: StatementUnreadable,
    *,
    vault: Vault,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> None:
    """Keep a file that could not be read, sealed; the same file is kept once."""
    file = BytesIO(content) if isinstance(content, bytes) else content
    digests = await asyncio.to_thread(_Digests, file)
    unread_id = uuid5(UNREAD_NAMESPACE, f"{partner_id}|{digests.of(0).hex()}")
    key, wrapped = vault.new_key(unread_id)
    unread = Unread(
        unread_id=unread_id,
        sha256=digests.of(0).hex(),
        where=refused.where[:WHERE_MAX],
        reason=refused.reason[:WHERE_MAX],
        received_at=at,
        actor_id=actor_id,
    )
    wrapped_key = msgspec.json.encode(wrapped)
    if not await evidence.keep_unread(conn, unread, wrapped_key=wrapped_key, partner_id=partner_id):
        return
    for number, sealed in _sealed(file, digests.size, key=key, kind="unread", owner=unread_id):
        await evidence.keep_unread_piece(
            conn, unread_id, number, sealed=sealed, partner_id=partner_id
        )


class _Digests:
    """The SHA-256 of a file, and of each message in it: the file's and the message's place."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = sha256()
        self.size = 0
        file.seek(0)
        while piece := file.read(PIECE_BYTES):
            self._file.update(piece)
            self.size += len(piece)

    def of(self, place: int) -> bytes:
        digest = self._file.copy()
        digest.update(place.to_bytes(4, "big") if place else b"")
        return digest.digest()


async def _known(conn: AsyncConnection, digests: _Digests, *, partner_id: UUID) -> list[Ingested]:
    found: list[Ingested] = []
    while True:
        digest = digests.of(len(found))
        one = await ingest.known(conn, partner_id=partner_id, file_digest=digest)
        if one is None:
            return found
        found.append(one)


async def _store(
    conn: AsyncConnection,
    parts: Parts,
    received: Received,
    digests: _Digests,
    *,
    matching_key: bytes,
) -> list[Ingested]:
    """Store statement after statement; the next lines are read while the last are copied."""
    stored: list[Ingested] = []
    staged = Staged()
    kept = without_names(matching_key=matching_key)
    await ingest.begin(conn)
    async with aclosing(_ahead(lambda: _batch(parts, kept))) as batches:
        async for batch in batches:
            frame = batch.pop() if isinstance(batch[-1], Frame) else None
            statement_id = ingest.statement_id_of(received.partner_id, received.file_digest)
            await ingest.stage(conn, batch, staged, statement_id=statement_id)  # type: ignore[arg-type]
            if not isinstance(frame, Frame):
                continue
            stored.append(await _close(conn, frame, staged, received, matching_key=matching_key))
            staged = Staged()
            received = msgspec.structs.replace(received, file_digest=digests.of(len(stored)))
    return stored


async def _close(
    conn: AsyncConnection, frame: Frame, staged: Staged, received: Received, *, matching_key: bytes
) -> Ingested:
    token = payer.token_of(frame.account, matching_key=matching_key)
    if frame.source in ACCOUNT_SOURCES and not await payer.is_ours(conn, token):
        raise AccountNotOurs(source=frame.source, message_id=frame.message_id[:35])
    original = file_id(frame.original_message_id, matching_key=matching_key)
    return await ingest.store(
        conn,
        msgspec.structs.replace(frame, original_message_id=original),
        staged,
        received=received,
        account_token=token if frame.account else "",
    )


def _batch(parts: Parts, kept: Callable[[Line], Line]) -> list[Line | RejectedLine | Frame]:
    """Return the next parts of one statement, its frame last; none at the end of the file."""
    batch: list[Line | RejectedLine | Frame] = []
    for part in parts:
        batch.append(kept(part) if isinstance(part, Line) else part)
        if len(batch) >= BATCH or isinstance(part, Frame):
            break
    return batch


async def _ahead(take: Callable[[], list[T]]) -> AsyncGenerator[list[T], None]:
    """Yield what `take` returns until it is nothing, always one ahead, in a thread of its own."""
    loop = asyncio.get_running_loop()
    # One thread for the whole file: a parser of lxml stays where it began.
    with ThreadPoolExecutor(max_workers=1) as worker:
        coming = loop.run_in_executor(worker, take)
        while batch := await coming:
            coming = loop.run_in_executor(worker, take)
            try:
                yield batch
            except GeneratorExit:
                await asyncio.wait([coming])
                coming.exception()
                raise


def _sealed(
    file: BinaryIO, size: int, *, key: bytes, kind: str, owner: UUID
) -> Iterator[tuple[int, bytes]]:
    """Yield each piece of a file sealed, with its number; an empty file has one."""
    many = max(1, -(-size // PIECE_BYTES))
    file.seek(0)
    for number in range(1, many + 1):
        piece = file.read(PIECE_BYTES)
        yield number, seal(key, piece, kind=f"{kind} {number}/{many}", owner=owner)
