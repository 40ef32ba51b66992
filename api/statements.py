"""The bank's files over HTTP: taken in as they come, read by a layout where they are tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import Annotated, BinaryIO, cast
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.params import FromQuery, JSONBody, QueryParameter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from api.text import END
from cbi import statements
from ledger import evidence, layouts
from ledger.evidence import Unread
from ledger.formats.layout import Layout
from ledger.ingest import Ingested
from ledger.refusal import StatementUnreadable

CODE = r"^[a-z0-9-]{1,40}" + END
VERSION_MAX = 2**31 - 1
# Up to here a file stays in memory while it is read.
SPOOLED_BYTES = 4 * 1024 * 1024

Code = Annotated[str, msgspec.Meta(pattern=CODE)]
LayoutCode = Annotated[
    str | None, QueryParameter(pattern=CODE, description="how the table is laid out")
]
LayoutVersion = Annotated[
    int | None, QueryParameter(ge=1, le=VERSION_MAX, description="its newest version unless given")
]
AfterLayout = Annotated[
    str,
    QueryParameter(
        pattern=r"^([a-z0-9-]{1,40}/[0-9]{10})?" + END, description="`next` of the page before"
    ),
]


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was taken in; `repeats` is the one that said the same before."""

    statement_id: UUID
    source: str
    message_id: str
    currency: str
    sequence: int | None
    booked_on: date | None
    opening_minor: int | None
    closing_minor: int | None
    received_at: datetime
    repeats: UUID | None


class NewLayout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout under its code; under a code that is there it is the next version."""

    code: Code
    layout: Layout


class LayoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a layout; `name` is its code and version."""

    name: str
    code: str
    version: int
    layout: Layout
    added_at: datetime
    actor_id: UUID


@post("/v1/statements", tags=["reconciliation"], request_max_body_size=None)
async def take_in(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    layout: LayoutCode = None,
    layout_version: LayoutVersion = None,
    idempotency_key: Key = None,
) -> list[Ingested]:
    """Take in a file of the bank as its body: ISO 20022, MT940, or a table by its layout.

    The same file again stores nothing and says so; the same statement under another file is kept
    and says which one it repeats. A file that can't be read is refused, and kept for evidence.
    """
    request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
    with _spool() as file:
        await _receive(request, file, bytes_max=service.settings.statement_bytes_max)

        @once
        async def keyed(*, request: Requested, conn: AsyncConnection) -> list[Ingested]:
            del request
            kept = None
            if layout is not None:
                kept = await layouts.load(
                    conn, layout, version=layout_version, partner_id=actor.partner_id
                )
            return await statements.take_in(
                conn,
                file,
                matching_key=service.settings.matching_key,
                at=clock.now(),
                layout=kept,
                vault=service.vault,
                partner_id=actor.partner_id,
                actor_id=actor.actor_id,
            )

        try:
            async with service.begin(actor, request_id=request_id) as conn:
                return await keyed(request=request, conn=conn)
        except StatementUnreadable as refused:
            # In a transaction of its own: the refusal has undone the other.
            async with service.begin(actor, request_id=request_id) as conn:
                await statements.keep_unread(
                    conn,
                    file,
                    refused,
                    vault=service.vault,
                    partner_id=actor.partner_id,
                    actor_id=actor.actor_id,
                    at=clock.now(),
                )
            raise


@get("/v1/statements", tags=["reconciliation"])
async def list_statements(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[StatementRow]:
    """List the files taken in, by id."""
    rows = await conn.execute(
        text(
            "SELECT statement_id, source, message_id, currency, sequence, booked_on,"
            " opening_minor, closing_minor, received_at, repeats FROM ledger.statement"
            " WHERE statement_id > :after ORDER BY statement_id LIMIT :limit"
        ),
        {"after": after or UUID(int=0), "limit": limit + 1},
    )
    items = [msgspec.convert(row._mapping, StatementRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="statement_id")


@get("/v1/statements/unread", tags=["reconciliation"])
async def list_unread(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[Unread]:
    """List the files that could not be read, by id: where each broke, and why."""
    items = await evidence.unread_files(conn, after=after or UUID(int=0), limit=limit + 1)
    return page(items, limit=limit, cursor="unread_id")


@post("/v1/statement-layouts", tags=["reconciliation"])
@once
async def add_layout(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewLayout],
    idempotency_key: Key = None,
) -> LayoutRow:
    """Keep how a table is laid out; what is the same as the newest version adds nothing."""
    return _row(
        await layouts.add(
            conn,
            data.code,
            data.layout,
            partner_id=actor.partner_id,
            at=clock.now(),
            actor_id=actor.actor_id,
        )
    )


@get("/v1/statement-layouts", tags=["reconciliation"])
async def list_layouts(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: AfterLayout = "",
    limit: Limit = 50,
) -> Page[LayoutRow]:
    """List the layouts with all their versions, by code and version."""
    code, _, version = after.partition("/")
    kept = await layouts.page(
        conn,
        code=code,
        version=min(int(version or "0"), VERSION_MAX),
        limit=limit + 1,
        partner_id=actor.partner_id,
    )
    return page([_row(one) for one in kept], limit=limit, cursor="name")


def _row(kept: layouts.KeptLayout) -> LayoutRow:
    name = f"{kept.code}/{kept.version:010d}"
    return msgspec.convert({**msgspec.structs.asdict(kept), "name": name}, LayoutRow)


@contextmanager
def _spool() -> Iterator[BinaryIO]:
    with SpooledTemporaryFile(max_size=SPOOLED_BYTES) as file:
        yield cast("BinaryIO", file)


async def _receive(request: Requested, file: BinaryIO, *, bytes_max: int) -> None:
    """Take the body to a file, piece by piece; no connection is held meanwhile."""
    digest, size = sha256(), 0
    async for piece in request.stream():
        size += len(piece)
        if size > bytes_max:
            raise RequestEntityTooLarge
        digest.update(piece)
        file.write(piece)
    request.scope["body_digest"] = digest.digest()  # type: ignore[typeddict-unknown-key]


HANDLERS = (take_in, list_statements, list_unread, add_layout, list_layouts)
