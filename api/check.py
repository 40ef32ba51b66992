"""Checking households against everybody registered, over HTTP."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.page import AfterNumber, Limit, Page, page
from api.state import Requested, Service
from cbi import asked, check, tables
from cbi.check import Checked, Purpose, Quota

# A large check keeps the process busy for about a second; who waits here holds no connection.
CHECKS_AT_ONCE = asyncio.Semaphore(2)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 200 households, each in a registration's form or with its persons only."""

    purpose: Purpose
    households: Annotated[
        list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=check.HOUSEHOLDS_MAX)
    ]


class CheckRow(msgspec.Struct, frozen=True, kw_only=True):
    """A check that was made: how many persons, and households by outcome; nothing of anybody."""

    check_no: int
    at: datetime
    partner_id: UUID
    actor_id: UUID
    request_id: str
    purpose: Purpose
    persons: int
    clear: int
    review: int
    unsearchable: int


# Not `once`: a stored answer would keep what was found about people whom nothing is kept of.
@post("/v1/check", status_code=200, tags=["registration"])
async def check_households(
    request: Requested,
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    data: JSONBody[Question],
) -> Checked:
    """Check households against everybody registered; nothing about them is stored."""
    today = clock.today()
    reads = [asked.read(each, today=today) for each in data.households]
    request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
    async with (
        CHECKS_AT_ONCE,
        service.begin(actor, request_id=request_id) as conn,
    ):
        return await check.check(
            conn,
            reads,
            purpose=data.purpose,
            quota=Quota(
                persons_per_day=service.settings.check_persons_per_day,
                day=today,
                opens_again_at=_begin(today + timedelta(days=1)),
            ),
            desk=service.desk,
            partner_id=actor.partner_id,
            at=clock.now(),
        )


@get("/v1/checks", tags=["access"])
async def list_checks(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[CheckRow]:
    """List the checks that were made: who asked, when, what for and how many, oldest first."""
    done = tables.duplicate_check.c
    query = select(tables.duplicate_check).where(done.check_no > after)
    rows = await conn.execute(query.order_by(done.check_no).limit(limit + 1))
    items = [msgspec.convert(row._mapping, CheckRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="check_no")


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=clock.PERU).astimezone(UTC)


HANDLERS = (check_households, list_checks)
