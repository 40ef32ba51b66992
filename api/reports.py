"""Reports over HTTP: each as JSON, CSV, a workbook, or a PDF to sign, with the same numbers."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Annotated, BinaryIO, Literal
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import PermissionDeniedException
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from api import access, clock
from api.db import Actor, snapshot
from api.state import Requested, Service
from cbi.refusal import NotFound
from cbi.reports import as_csv, as_json, as_pdf, as_xlsx
from cbi.reports.asked import OF_THE_BOOKS, Asked, Name
from cbi.reports.make import make
from cbi.reports.sheet import Sheet
from cbi.reports.words import Language

Form = Literal["json", "csv", "xlsx", "pdf"]
WRITERS: dict[Form, tuple[str, Callable[[Sheet, Language, BinaryIO], None]]] = {
    "json": ("application/json", as_json.write),
    "csv": ("text/csv", as_csv.write),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        as_xlsx.write,
    ),
    "pdf": ("application/pdf", as_pdf.write),
}
MEMORY_BYTES = 8 * 2**20
CHUNK_BYTES = 2**16
From = Annotated[date | None, QueryParameter(name="from", description="the first day")]


@get("/v1/reports/{name:str}", tags=["reports"])
async def read(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    name: FromPath[Name],
    format: FromQuery[Form] = "json",  # noqa: A002 -- the caller's word
    language: FromQuery[Language] = "es",
    round_id: FromQuery[UUID | None] = None,
    programme_id: FromQuery[UUID | None] = None,
    household_id: FromQuery[UUID | None] = None,
    payment_id: FromQuery[UUID | None] = None,
    partner_id: FromQuery[UUID | None] = None,
    since: From = None,
    until: FromQuery[date | None] = None,
    as_of: FromQuery[date | None] = None,
    booked_until: FromQuery[date | None] = None,
    known_at: FromQuery[datetime | None] = None,
) -> Stream:
    """Return a report with the ledger checkpoint it was taken at; the same again, the same bytes.

    Without `as_of` as of today. `partner_id` is for auditors, who read the books of others.
    """
    _must_be_allowed(actor, name, partner_id)
    asked = Asked(
        name=name,
        partner_id=partner_id or actor.partner_id,
        as_of=as_of or clock.today(),
        round_id=round_id,
        programme_id=programme_id,
        household_id=household_id,
        payment_id=payment_id,
        since=since,
        until=until,
        booked_until=booked_until,
        known_at=known_at,
    )
    async with snapshot(
        service.engine,
        actor,
        request_id=request.scope["request_id"],  # type: ignore[typeddict-item]
    ) as conn:
        sheet = await make(conn, asked)
    media_type, write = WRITERS[format]
    written = await asyncio.to_thread(_written, sheet, language, write)
    return Stream(
        _chunks(written),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name(asked, format)}"'},
    )


def file_name(asked: Asked, form: str) -> str:
    """Name the file after what was asked, so that two reports are not taken for one."""
    about = asked.round_id or asked.programme_id or asked.payment_id or asked.household_id
    parts = [asked.name, *([] if about is None else [about.hex[:8]]), asked.as_of.isoformat()]
    return f"{'-'.join(parts)}.{form}"


def _must_be_allowed(actor: Actor, name: Name, partner_id: UUID | None) -> None:
    if name in OF_THE_BOOKS and not actor.roles & {access.FINANCE, access.AUDITOR}:
        raise PermissionDeniedException
    is_foreign = partner_id not in (None, actor.partner_id)
    if is_foreign and access.AUDITOR not in actor.roles:
        assert partner_id is not None
        raise NotFound(what="partner", wanted=partner_id)


def _written(
    sheet: Sheet, language: Language, write: Callable[[Sheet, Language, BinaryIO], None]
) -> BinaryIO:
    out = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 -- sent later
    write(sheet, language, out)  # type: ignore[arg-type]
    out.seek(0)
    return out  # type: ignore[return-value]


def _chunks(written: BinaryIO) -> Iterator[bytes]:
    with written:
        while chunk := written.read(CHUNK_BYTES):
            yield chunk


HANDLERS = (read,)
