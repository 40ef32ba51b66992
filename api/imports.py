"""Import a file of households, each row in a transaction of its own.

So a bad row stops nothing, and a file that is sent again goes on where it broke off.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.exceptions import TooManyRequestsException
from litestar.params import FromQuery, QueryParameter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key
from api.state import Requested, Service
from cbi import intake
from cbi.imported import RowFault, located
from cbi.intake import Format, Row
from cbi.refusal import CbiRefusal, FileUnreadable
from cbi.row_refusal import fault_of, word
from cbi.take_in import take_in

# One request's share of a large file; `cbi import households` takes the whole.
ROWS_PER_REQUEST_MAX = 2_000
# Each import holds two connections: its own, and that of the row at work.
IMPORTS_AT_ONCE = asyncio.Semaphore(2)
# An answer is kept for ever, so it tells no more faults than somebody would mend in one go.
FAULTS_TOLD_MAX = 1_000


class RowResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one household of the file."""

    row: int
    status: Literal["clear", "review", "faulty"]
    household_id: UUID | None
    faults: tuple[RowFault, ...]
    sheet: str = ""
    # Registered before: the same, or now the household's next version.
    is_known: bool = False
    is_changed: bool = False


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file, household by household."""

    households: int
    clear: int
    review: int
    faulty: int
    registered: int
    known: int
    changed: int
    rows: list[RowResult]
    # Faults beyond FAULTS_TOLD_MAX; their rows still tell status and household.
    faults_left_out: int = 0


@post("/v1/imports", tags=["registration"])
@once
async def import_file(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    format: Annotated[Format, QueryParameter(description="json, ndjson, csv, xlsx or kobo")],  # noqa: A002
    ubigeo_system: FromQuery[str],
    idempotency_key: Key = None,
) -> Imported:
    """Import a file as the request's body: JSON, NDJSON, CSV, XLSX, or a KoboToolbox export."""
    # Who waited here would hold a connection that the import at work may need.
    if IMPORTS_AT_ONCE.locked():
        raise TooManyRequestsException
    async with IMPORTS_AT_ONCE:
        # A workbook may take a while to read, and others are served meanwhile.
        rows = await asyncio.to_thread(
            _few, await request.body(), format=format, ubigeo_system=ubigeo_system
        )
        request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
        results = []
        async for result in import_rows(service, rows, actor=actor, request_id=request_id):
            results.append(result)
            # A transaction that idles for two minutes is ended, and this one waits for the rows.
            await conn.execute(text("SELECT 1"))
    return summary(results)


async def import_rows(
    service: Service, rows: Iterable[Row], *, actor: Actor, request_id: str
) -> AsyncIterator[RowResult]:
    """Take in row after row; yields what became of each."""
    for row in rows:
        read = intake.read(row, today=clock.today())
        faults = tuple(located(fault, row) for fault in read.faults)
        if read.registration is None:
            yield RowResult(
                row=row.number, status="faulty", household_id=None, faults=faults, sheet=row.sheet
            )
            continue
        try:
            async with service.begin(actor, request_id=request_id) as conn:
                taken = await take_in(
                    conn,
                    read,
                    desk=service.desk,
                    partner_id=actor.partner_id,
                    actor_id=actor.actor_id,
                    area=actor.area,
                    at=clock.now(),
                    today=clock.today(),
                    submitted=row.submission,
                )
        except CbiRefusal as refused:
            yield RowResult(
                row=row.number,
                status="faulty",
                household_id=None,
                faults=(*faults, located(fault_of(word(refused)), row)),
                sheet=row.sheet,
            )
        else:
            yield RowResult(
                row=row.number,
                status=taken.status,
                household_id=taken.household_id,
                faults=tuple(located(fault, row) for fault in taken.warnings),
                sheet=row.sheet,
                is_known=taken.is_known,
                is_changed=taken.is_changed,
            )


def summary(results: list[RowResult]) -> Imported:
    """Count what became of the rows, telling the first FAULTS_TOLD_MAX faults of them all."""
    statuses = [result.status for result in results]
    room, left_out = FAULTS_TOLD_MAX, 0
    told: list[RowResult] = []
    for result in results:
        faults = result.faults[:room]
        room -= len(faults)
        left_out += len(result.faults) - len(faults)
        told.append(msgspec.structs.replace(result, faults=faults))
    return Imported(
        households=len(results),
        clear=statuses.count("clear"),
        review=statuses.count("review"),
        faulty=statuses.count("faulty"),
        registered=sum(
            each.household_id is not None and not (each.is_known or each.is_changed)
            for each in results
        ),
        known=sum(each.is_known for each in results),
        changed=sum(each.is_changed for each in results),
        rows=told,
        faults_left_out=left_out,
    )


def _few(content: bytes, *, format: Format, ubigeo_system: str) -> list[Row]:  # noqa: A002
    found = intake.rows(content, format=format, ubigeo_system=ubigeo_system)
    rows = list(islice(found, ROWS_PER_REQUEST_MAX + 1))
    if len(rows) > ROWS_PER_REQUEST_MAX:
        raise FileUnreadable(line=rows[ROWS_PER_REQUEST_MAX].number, reason="too_many_rows")
    return rows


HANDLERS = (import_file,)
