"""Runs over everybody, and what was read for them, as coordinators and auditors may see it."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy import Uuid, all_, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.page import AfterNumber, Limit, Page, page
from cbi import tables
from dedup import runs
from dedup.runs import Engine, Phase, RunState, RunView


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list; `done` of `total` says how far its phase has come, `counts` what it did."""

    run_id: UUID
    model_id: str
    engine: Engine
    partners: tuple[UUID, ...]
    started_at: datetime
    state: RunState
    phase: Phase
    done: int
    total: int
    counts: Mapping[str, object]
    at: datetime


class BulkAccessRow(msgspec.Struct, frozen=True, kw_only=True):
    """A page of households whose records were opened: ids in a range, but those left out.

    The range begins behind `after_household` and ends with `upto_household`.
    """

    bulk_access_no: int
    at: datetime
    actor_id: UUID
    request_id: str
    purpose: str
    after_household: UUID
    upto_household: UUID
    households: int
    left_out: tuple[UUID, ...]


@get("/v1/dedup/runs", tags=["adjudication"])
async def list_runs(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[RunRow]:
    """List the runs that compare everybody with everybody, newest first, and how far they are."""
    found = await runs.list_runs(conn, after=after, limit=limit + 1)
    return page([_row(view) for view in found], limit=limit, cursor="run_id")


@get("/v1/access-log/bulk", tags=["access"])
async def bulk_access(
    conn: NamedDependency[AsyncConnection],
    household_id: FromQuery[UUID | None] = None,
    after: AfterNumber = 0,
    limit: Limit = 50,
) -> Page[BulkAccessRow]:
    """List when everybody's identities were opened at once, page by page, oldest first.

    With `household_id`, the pages that it stood in and was opened with.
    """
    entry = tables.bulk_access.c
    query = select(tables.bulk_access).where(entry.bulk_access_no > after)
    if household_id is not None:
        query = query.where(
            entry.after_household < household_id,
            entry.upto_household >= household_id,
            literal(household_id, Uuid) != all_(entry.left_out),
        )
    rows = await conn.execute(query.order_by(entry.bulk_access_no).limit(limit + 1))
    items = [msgspec.convert(row._mapping, BulkAccessRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="bulk_access_no")


def _row(view: RunView) -> RunRow:
    run, progress = view.run, view.progress
    return RunRow(
        run_id=run.run_id,
        model_id=run.model_id,
        engine=run.engine,
        partners=run.partners,
        started_at=run.started_at,
        state=view.state,
        phase=progress.phase,
        done=progress.done,
        total=progress.total,
        counts=progress.counts,
        at=view.at,
    )


HANDLERS = (list_runs, bulk_access)
