"""Households over HTTP: register one, list and read one's own, fetch a receipt."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, FromPath, FromQuery, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from api.text import END
from cbi import household, register, tables
from cbi import partners as find_partners
from cbi.identities import Identity, open_households
from cbi.partner import Partner
from cbi.refusal import IdentityErased, NotFound
from cbi.register import Receipt
from cbi.take_in import Taken, take_in

KNOWN = {HTTP_200_OK: ResponseSpec(Taken, description="The household was registered before")}
CODE = "^[A-Z][A-Z0-9-]{1,19}" + END
Purpose = Literal["registration", "correction", "adjudication", "complaint", "payment"]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the key belongs to and what it may do."""

    actor_id: UUID
    partner: str
    roles: list[str]
    area: str


class HouseholdRow(msgspec.Struct, frozen=True, kw_only=True):
    """A household in a list: nothing that is sealed."""

    household_id: UUID
    ubigeo: str
    population_type: str
    size: int
    registered_at: datetime
    version: int
    ended_at: datetime | None


@get("/v1/me", tags=["access"])
async def me(actor: NamedDependency[Actor]) -> Me:
    """Say whose key this is."""
    return Me(
        actor_id=actor.actor_id,
        partner=actor.partner_code,
        roles=sorted(actor.roles),
        area=actor.area,
    )


@get("/v1/partners", tags=["access"])
async def partners(
    conn: NamedDependency[AsyncConnection],
    after: Annotated[str | None, QueryParameter(pattern=CODE)] = None,
    limit: Limit = 50,
) -> Page[Partner]:
    """List the organisations and whom to ask there, by code."""
    items = await find_partners.list_partners(conn, after=after, limit=limit + 1)
    return page(items, limit=limit, cursor="code")


@post("/v1/households", tags=["registration"], responses=KNOWN)
@once
async def register_household(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    data: Annotated[
        dict[str, Any], Body(description="a registration; docs/registration.md has its form")
    ],
    idempotency_key: Key = None,
) -> Response[Taken]:
    """Register a household and check it against everybody at once.

    Under a reference that is registered: 200. The same content changes nothing; other content is
    the household's next version, and is checked again.
    """
    taken = await take_in(
        conn,
        household.read(data, today=clock.today()),
        desk=service.desk,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        area=actor.area,
        at=clock.now(),
        today=clock.today(),
    )
    return told(taken)


def told(taken: Taken) -> Response[Taken]:
    """Answer 201 for a household that is registered now, and 200 for one that was before."""
    is_new = not (taken.is_known or taken.is_changed)
    return Response(taken, status_code=HTTP_201_CREATED if is_new else HTTP_200_OK)


@get("/v1/households", tags=["registration"])
async def list_households(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[HouseholdRow]:
    """List one's own households, oldest first."""
    home = tables.household.c
    query = select(
        home.household_id,
        home.ubigeo,
        home.population_type,
        home.size,
        home.registered_at,
        home.version,
        home.ended_at,
    )
    if after is not None:
        query = query.where(home.household_id > after)
    rows = await conn.execute(query.order_by(home.household_id).limit(limit + 1))
    items = [msgspec.convert(row._mapping, HouseholdRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="household_id")


@get("/v1/households/{household_id:uuid}", tags=["registration"])
async def read_household(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    household_id: FromPath[UUID],
    purpose: FromQuery[Purpose],
) -> Identity:
    """Open one's own household; the access log keeps who, when and for what purpose."""
    await _must_see(conn, household_id)
    opened = await open_households(conn, [household_id], vault=service.vault, purpose=purpose)
    if household_id not in opened:
        raise IdentityErased(household_id=household_id)
    return opened[household_id]


@get("/v1/households/{household_id:uuid}/receipt", tags=["registration"])
async def read_receipt(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    household_id: FromPath[UUID],
) -> Receipt:
    """Return the receipt as it stands now."""
    # Persons carry no area of their own; a key of another area sees no household.
    await _must_see(conn, household_id)
    return await register.receipt(conn, household_id, model=service.model.readable)


async def _must_see(conn: AsyncConnection, household_id: UUID) -> None:
    home = tables.household.c
    if not await conn.scalar(select(home.size).where(home.household_id == household_id)):
        raise NotFound(what="household", wanted=household_id)


HANDLERS = (
    me,
    partners,
    register_household,
    list_households,
    read_household,
    read_receipt,
)
