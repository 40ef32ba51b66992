"""Whole files that are checked as a job, and handed out with three more columns."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.check import Months, wanted_of
from api.check_jobs import KIND, ROLES
from api.db import WORKER, Actor, transaction
from api.once import once
from api.page import Key
from api.state import Requested, Service
from api.worker import Duty, order
from cbi import check_files, holds, intake, lists
from cbi.check_files import CheckFile, CheckFormat
from cbi.household import Assistance
from cbi.job import JobView
from cbi.lists import Purpose
from cbi.own import Wanted
from cbi.place import UbigeoSystem
from cbi.refusal import NotFound

ENDINGS = {"kobo": "json"}
DESTROY_EVERY_SECONDS = 600.0
MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "kobo": "application/json",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ToCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about a file: what for, on which list, and what they are to get."""

    format: CheckFormat
    ubigeo_system: UbigeoSystem | None
    purpose: Purpose
    list_id: UUID
    wanted: Wanted | None


# As large as a file that is registered.
@post("/v1/check/files", tags=["registration"], request_max_body_size=intake.BYTES_MAX)
@once
async def check_file(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    format: Annotated[CheckFormat, QueryParameter(description="csv, xlsx, json, ndjson or kobo")],  # noqa: A002
    purpose: FromQuery[Purpose],
    list_id: Annotated[UUID, QueryParameter(name="list")],
    ubigeo_system: FromQuery[UbigeoSystem | None] = None,
    assistance: FromQuery[Assistance | None] = None,
    first_month: FromQuery[date | None] = None,
    months: FromQuery[Months | None] = None,
    idempotency_key: Key = None,
) -> JobView:
    """Check a file as the request's body; the job says how far it is.

    Its `subject_id` is the file's. Sealed, it is kept for 7 days; then its key is destroyed. A file
    of more persons than today's quota goes on by itself the next day: the job says when.
    `ubigeo_system` is needed where the file has district codes and doesn't say whose.
    """
    return await take_in(
        conn,
        await request.body(),
        ToCheck(
            format=format,
            ubigeo_system=ubigeo_system,
            purpose=purpose,
            list_id=list_id,
            wanted=wanted_of(assistance, holds.span_of(first_month, months)),
        ),
        service=service,
        actor=actor,
    )


async def take_in(
    conn: AsyncConnection, content: bytes, asked: ToCheck, *, service: Service, actor: Actor
) -> JobView:
    """Keep a file that is to be checked, and have it checked."""
    at = clock.now()
    file = CheckFile(
        file_id=clock.new_id(),
        format=asked.format,
        ubigeo_system=asked.ubigeo_system,
        purpose=asked.purpose,
        listed=await lists.active(
            conn,
            asked.list_id,
            purpose=asked.purpose,
            partner_id=actor.partner_id,
            day=clock.today(),
        ),
        wanted=asked.wanted,
        kept_until=check_files.kept_until(at),
    )
    await check_files.receive(
        conn, file, content, vault=service.vault, partner_id=actor.partner_id, at=at
    )
    return await order(conn, KIND, roles=ROLES, actor=actor, subject_id=file.file_id)


@get("/v1/check/files/{file_id:uuid}", tags=["registration"], media_type="text/csv")
async def read_file(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    file_id: FromPath[UUID],
) -> Response[bytes]:
    """Hand out a checked file: as it came, with three more columns. Its job must be done."""
    opened = await check_files.load(conn, file_id, vault=service.vault)
    checked = await check_files.pieces(conn, opened, "checked")
    if not checked:
        raise NotFound(what="file", wanted=file_id)
    kind = opened.file.format
    return Response(
        checked[0],
        media_type=MEDIA_TYPES[kind],
        headers={
            "Content-Disposition": f'attachment; filename="{file_id}.{ENDINGS.get(kind, kind)}"'
        },
    )


async def _destroy(service: Service) -> None:
    async with transaction(service.engine, WORKER, request_id="worker") as conn:
        await check_files.destroy_over(conn)


DESTROY = Duty(name="destroy-checked-files", every_seconds=DESTROY_EVERY_SECONDS, do=_destroy)
HANDLERS = (check_file, read_file)
