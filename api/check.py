"""Checking households against everybody registered, over HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.settings import Settings
from api.state import Requested, Service
from api.text import LINE
from cbi import asked, check, holds, lists, tables
from cbi.asked import ReadAsked
from cbi.check import Checked
from cbi.household import Assistance
from cbi.lists import CheckList, Purpose
from cbi.overlap import MONTHS_MAX, Span
from cbi.own import Wanted
from cbi.quotas import Quota
from cbi.refusal import BadValue

T = TypeVar("T")
Months = Annotated[int, msgspec.Meta(ge=1, le=MONTHS_MAX)]
# A large check keeps a core busy for seconds; who waits here holds no connection.
CHECKS_AT_ONCE = asyncio.Semaphore(2)
# Reading so many takes some milliseconds; then others have a turn.
READ_IN_A_ROW = 20


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 1,000 households, each in a registration's form or with its persons only.

    `list` names what they are on: a programme, an open round or a list of `POST /v1/lists`.
    `assistance`, `first_month` and `months` say what they are to get; without, nobody is blocked.
    """

    purpose: Purpose
    list: UUID
    assistance: Assistance | None = None
    first_month: date | None = None
    months: Months | None = None
    households: Annotated[
        Sequence[dict[str, Any]], msgspec.Meta(min_length=1, max_length=check.HOUSEHOLDS_MAX)
    ]


class NewList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of people to check; its name must not name anybody, and it ends within 183 days."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=LINE)]
    purpose: Purpose
    until: date


class CheckRow(msgspec.Struct, frozen=True, kw_only=True):
    """A check that was made: for which list, how many persons, and households by outcome.

    One of `list_id`, `programme_id` and `round_id` is there; nothing of anybody who was checked.
    """

    check_no: int
    at: datetime
    partner_id: UUID
    actor_id: UUID
    request_id: str
    purpose: Purpose
    persons: int
    clear: int
    review: int
    blocked: int
    unsearchable: int
    list_id: UUID | None
    programme_id: UUID | None
    round_id: UUID | None


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
    reads = await in_turns(data.households, lambda raw: asked.read(raw, today=today))
    request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
    async with (
        CHECKS_AT_ONCE,
        service.begin(actor, request_id=request_id) as conn,
    ):
        return await check.check(
            conn,
            reads,
            purpose=data.purpose,
            listed=await lists.active(
                conn, data.list, purpose=data.purpose, partner_id=actor.partner_id, day=today
            ),
            quota=quota_of(service.settings, today),
            desk=service.desk,
            partner_id=actor.partner_id,
            wanted=wanted_of(data.assistance, holds.span_of(data.first_month, data.months)),
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


@post("/v1/lists", tags=["registration"])
@once
async def open_list(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    data: JSONBody[NewList],
    idempotency_key: Key = None,
) -> CheckList:
    """Open a list of people to check, with its purpose and its last day."""
    opened = CheckList(list_id=clock.new_id(), **msgspec.structs.asdict(data))
    return await lists.open_list(conn, opened, at=clock.now())


@get("/v1/lists", tags=["registration"])
async def list_lists(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[CheckList]:
    """List the named lists of one's own organisation, oldest first; auditors see everybody's."""
    rows = await lists.list_lists(conn, after=after, limit=limit + 1)
    return page(rows, limit=limit, cursor="list_id")


async def in_turns(households: Sequence[T], read: Callable[[T], ReadAsked]) -> list[ReadAsked]:
    """Read households one after the other, giving way to other requests now and then."""
    reads = []
    for place, each in enumerate(households):
        if place % READ_IN_A_ROW == READ_IN_A_ROW - 1:
            await asyncio.sleep(0)
        reads.append(read(each))
    return reads


def wanted_of(assistance: Assistance | None, months: Span | None) -> Wanted | None:
    """What is asked about: a kind of assistance with its months, or nothing; raises BadValue."""
    if assistance is None and months is None:
        return None
    if assistance is None or months is None:
        raise BadValue(field="assistance", reason="a kind of assistance and its months, or neither")
    return Wanted(assistance=assistance, months=months)


def quota_of(settings: Settings, today: date) -> Quota:
    """What an organisation may check today, which ends at midnight in Peru."""
    begins = datetime.combine(today + timedelta(days=1), time(), tzinfo=clock.PERU)
    return Quota(
        persons_per_day=settings.check_persons_per_day,
        day=today,
        opens_again_at=begins.astimezone(UTC),
    )


HANDLERS = (check_households, list_checks, open_list, list_lists)
