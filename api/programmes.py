"""Programmes over HTTP: open one, set its values, enrol households."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from api.text import END, LINE
from cbi import enrol, holds, tables
from cbi.enrol import Enrolment, Programme
from cbi.entitlement import ValueTable
from cbi.overlap import MONTHS_MAX
from cbi.refusal import BadValue
from ledger import money
from ledger.money import Money

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=70, pattern=LINE)]
Code = Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Z0-9-]{1,19}" + END)]
# A decimal as text: a JSON number would go through a float.
Decimal = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?" + END)]
# As the database's rule has them. Assistance of one group may not overlap for one family.
Group = Literal[
    "mpca", "transit_grant", "food", "rent", "health", "protection", "education", "livelihood"
]


class NewProgramme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`payer_*` is the organisation's own account at the paying bank."""

    code: Code
    name: Line
    assistance_group: Group = "mpca"
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}" + END)]
    payer_name: Line
    payer_account: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{5,34}" + END)]
    payer_agent: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9 ]{3,35}" + END)]


class NewValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts per month for household sizes 1, 2, 3 …; larger families get the last."""

    effective_from: date
    by_size: Annotated[list[Decimal], msgspec.Meta(min_length=1, max_length=30)]


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment that was ended."""

    enrolment_id: UUID
    closed_at: datetime


class NewEnrolment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For `months` months from `first_month` on, or, without both, until it is closed."""

    household_id: UUID
    first_month: date | None = None
    months: Annotated[int, msgspec.Meta(ge=1, le=MONTHS_MAX)] | None = None


@post("/v1/programmes", tags=["programmes"])
@once
async def open_programme(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    data: JSONBody[NewProgramme],
    idempotency_key: Key = None,
) -> Programme:
    """Open a programme and its accounts."""
    amount_of("1", data.currency, field="currency")
    facts = msgspec.structs.asdict(data)
    payer_account = facts.pop("payer_account")
    return await enrol.open_programme(
        conn,
        Programme(programme_id=clock.new_id(), **facts),
        payer_account=payer_account,
        vault=service.vault,
        matching_key=service.settings.matching_key,
        partner_id=actor.partner_id,
        at=clock.now(),
    )


@get("/v1/programmes", tags=["programmes"])
async def list_programmes(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[Programme]:
    """List one's own programmes."""
    query = select(tables.programme)
    if after is not None:
        query = query.where(tables.programme.c.programme_id > after)
    rows = await conn.execute(query.order_by(tables.programme.c.programme_id).limit(limit + 1))
    items = [msgspec.convert(row._mapping, Programme) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="programme_id")


@post("/v1/programmes/{programme_id:uuid}/values", tags=["programmes"])
@once
async def set_values(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewValues],
    idempotency_key: Key = None,
) -> ValueTable:
    """Add the next version of the value table."""
    programme = await enrol.load_programme(conn, programme_id)
    amounts = [
        amount_of(amount, programme.currency, field=f"by_size[{place}]")
        for place, amount in enumerate(data.by_size)
    ]
    return await enrol.set_values(
        conn,
        programme_id=programme_id,
        by_size={size: amount.amount_minor for size, amount in enumerate(amounts, start=1)},
        effective_from=data.effective_from,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


@post("/v1/programmes/{programme_id:uuid}/enrolments", tags=["programmes"])
@once
async def enrol_household(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    programme_id: FromPath[UUID],
    data: JSONBody[NewEnrolment],
    idempotency_key: Key = None,
) -> Enrolment:
    """Enrol a household; refused while a case is open or a consent is missing."""
    return await enrol.enrol(
        conn,
        programme_id=programme_id,
        household_id=data.household_id,
        enrolment_id=clock.new_id(),
        months=holds.span_of(data.first_month, data.months),
        vault=service.vault,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


@get("/v1/programmes/{programme_id:uuid}/enrolments", tags=["programmes"])
async def list_enrolments(
    conn: NamedDependency[AsyncConnection],
    programme_id: FromPath[UUID],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Enrolment]:
    """List the enrolments of a programme, oldest first."""
    await enrol.load_programme(conn, programme_id)
    row = tables.enrolment.c
    query = select(
        row.enrolment_id,
        row.programme_id,
        row.household_id,
        row.beneficiary_id,
        row.enrolled_at,
        func.lower(row.months).label("first_month"),
        func.upper(row.months).label("end_month"),
    ).where(
        row.programme_id == programme_id,
        # Enrolments carry no area of their own; a key of an area sees no other household.
        row.household_id.in_(select(tables.household.c.household_id)),
    )
    if after is not None:
        query = query.where(row.enrolment_id > after)
    rows = await conn.execute(query.order_by(row.enrolment_id).limit(limit + 1))
    items = [msgspec.convert(found._mapping, Enrolment) for found in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="enrolment_id")


@post("/v1/enrolments/{enrolment_id:uuid}/closing", tags=["programmes"])
@once
async def close_enrolment(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    enrolment_id: FromPath[UUID],
    actor: NamedDependency[Actor],
    idempotency_key: Key = None,
) -> Closed:
    """End an enrolment for good, so that the family may be enrolled elsewhere."""
    at = clock.now()
    await enrol.close(conn, enrolment_id=enrolment_id, at=at)
    return Closed(enrolment_id=enrolment_id, closed_at=at)


def amount_of(text: str, currency: str, *, field: str) -> Money:
    """Read a positive amount of a request; raises BadValue."""
    try:
        amount = money.parse(text, currency)
    except ValueError as error:
        raise BadValue(field=field, reason=str(error)) from error
    if amount.amount_minor <= 0:
        raise BadValue(field=field, reason="an amount is more than nothing")
    return amount


HANDLERS = (
    open_programme,
    list_programmes,
    set_values,
    enrol_household,
    list_enrolments,
    close_enrolment,
)
