"""Files of registrations over HTTP: sent in pieces, staged, looked at, taken or refused."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.exceptions import TooManyRequestsException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.check_files import MEDIA_TYPES
from api.db import Actor
from api.importing import order_acceptance, order_staging
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.state import Requested, Service
from api.text import END
from cbi import import_list, staging, uploads
from cbi.hand_back import hand_back
from cbi.imported import (
    PIECE_BYTES,
    ROWS_TOLD_MAX,
    ImportEntry,
    NewImport,
    RowStanding,
    RowStatus,
    Standing,
)
from cbi.intake import Format
from cbi.intake.annotate import Language

CHUNK_BYTES = 64 * 1024
# An export of KoboToolbox is JSON.
ENDINGS = {"kobo": "json"}
# Each holds a file of up to 64 MB, opened.
HANDED_AT_ONCE = asyncio.Semaphore(2)
NUMBER_MAX = 2**31 - 1

RowNo = Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]
Status = Annotated[RowStatus | None, QueryParameter(description="only rows that stand so")]


class NewUpload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that will be sent; `accept_valid` takes what is right without being asked again."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}" + END)]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    format: Format
    ubigeo_system: Literal["inei", "reniec"]
    accept_valid: bool = False


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to take: the whole file, if no row is faulty; what is right of it; or these rows."""

    take: (
        Literal["all", "valid"]
        | Annotated[list[RowNo], msgspec.Meta(min_length=1, max_length=ROWS_TOLD_MAX)]
    )


@post("/v1/imports/uploads", tags=["registration"])
@once
async def open_upload(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    data: JSONBody[NewUpload],
    idempotency_key: Key = None,
) -> Standing:
    """Open an upload: send the pieces next, each of `piece_bytes` but the last.

    The same file again is the import that it already is, as it stands.
    """
    new = NewImport(
        sha256=bytes.fromhex(data.sha256),
        bytes=data.bytes,
        format=data.format,
        ubigeo_system=data.ubigeo_system,
        accept_valid=data.accept_valid,
    )
    opened = await uploads.open_upload(
        conn,
        new,
        import_id=clock.new_id(),
        vault=service.vault,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        area=actor.area,
        at=clock.now(),
    )
    return await staging.load_standing(conn, opened)


@put(
    "/v1/imports/uploads/{import_id:uuid}/pieces/{piece_no:int}",
    tags=["registration"],
    request_max_body_size=PIECE_BYTES,
)
async def put_piece(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
    piece_no: FromPath[int],
) -> Standing:
    """Send one piece of the file, counted from 1; with the last of them the file is staged.

    The same piece again changes nothing, so what broke off is simply sent again.
    """
    opened = await uploads.load_import(conn, import_id)
    content = await request.body()
    if await uploads.put_piece(conn, opened, piece_no, content, vault=service.vault):
        await order_staging(conn, opened, actor)
    return await staging.load_standing(conn, opened)


@get("/v1/imports/{import_id:uuid}", tags=["registration"])
async def show_import(
    conn: NamedDependency[AsyncConnection], import_id: FromPath[UUID]
) -> Standing:
    """Show where an import stands: which pieces are there, and its rows in numbers."""
    return await staging.load_standing(conn, await uploads.load_import(conn, import_id))


@get("/v1/imports/{import_id:uuid}/rows", tags=["registration"])
async def list_rows(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
    status: Status = None,
    after: AfterNumber = 0,
    limit: Limit = 50,
) -> Page[RowStanding]:
    """List an import's rows with their faults: where, what, the value masked, and the remedy."""
    opened = await uploads.load_import(conn, import_id)
    rows = await staging.list_rows(
        conn,
        opened,
        status=status,
        after=min(after, NUMBER_MAX),
        limit=limit + 1,
        key=await uploads.key_if_kept(conn, import_id, vault=service.vault),
    )
    return page(rows, limit=limit, cursor="row_no")


@get("/v1/imports", tags=["registration"])
async def list_imports(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[ImportEntry]:
    """List the files that one's organisation sent, newest first, and where each stands."""
    found = await import_list.list_imports(
        conn, before=after, limit=limit + 1, partner_id=actor.partner_id
    )
    return page(found, limit=limit, cursor="import_id")


@get("/v1/imports/{import_id:uuid}/corrections", tags=["registration"])
async def read_corrections(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
    language: FromQuery[Language] = "es",
) -> Stream:
    """Download the faulty rows, in the form of the file, each with its faults and the remedy.

    Only for who staged the file; the access log keeps it. Mended, it is sent in like any file.
    """
    opened = await uploads.load_import(conn, import_id)
    if HANDED_AT_ONCE.locked():
        raise TooManyRequestsException
    async with HANDED_AT_ONCE:
        content = await hand_back(
            conn, opened, vault=service.vault, language=language, actor_id=actor.actor_id
        )
    ending = ENDINGS.get(opened.format, opened.format)
    return Stream(
        _pieces(content),
        media_type=MEDIA_TYPES[ending],
        headers={"Content-Disposition": f'attachment; filename="{import_id}.{ending}"'},
    )


def _pieces(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), CHUNK_BYTES):
        yield content[at : at + CHUNK_BYTES]


@post("/v1/imports/{import_id:uuid}/acceptance", tags=["registration"])
@once
async def accept_import(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    import_id: FromPath[UUID],
    data: JSONBody[Acceptance],
    idempotency_key: Key = None,
) -> Standing:
    """Take the file in; each household is checked again as it is registered."""
    opened = await uploads.load_import(conn, import_id)
    await staging.decide(conn, opened, data.take, actor_id=actor.actor_id, at=clock.now())
    await order_acceptance(conn, opened, actor)
    return await staging.load_standing(conn, opened)


@post("/v1/imports/{import_id:uuid}/refusal", tags=["registration"])
@once
async def refuse_import(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    import_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Standing:
    """Take nothing of the file, and erase what it said at once."""
    opened = await uploads.load_import(conn, import_id)
    await staging.decide(conn, opened, "nothing", actor_id=actor.actor_id, at=clock.now())
    await uploads.erase(conn, import_id)
    return await staging.load_standing(conn, opened)


@post("/v1/imports/{import_id:uuid}/closing", tags=["registration"])
@once
async def close_import(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    import_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Standing:
    """Erase at once what a file says that was taken in part: its faulty rows are mended elsewhere.

    What became of its rows stays, and so does the household of each that was taken.
    """
    opened = await uploads.load_import(conn, import_id)
    await staging.must_be_over(conn, opened)
    await uploads.erase(conn, import_id)
    return await staging.load_standing(conn, opened)


HANDLERS = (
    *(list_imports, open_upload, put_piece, show_import, list_rows, read_corrections),
    *(accept_import, refuse_import, close_import),
)
