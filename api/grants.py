"""Grants over HTTP: enter and amend them, let another person approve, say which pays a round."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.funds import Currency
from api.once import once
from api.page import Key, Limit, Page, page
from api.programmes import Code, Line, amount_of
from api.programmes import Decimal as Amount
from api.state import Requested
from cbi import grants
from cbi.grant import Agreed, Amendment, Grant
from cbi.who import Who


class NewGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a donor agreed to give, from the first day to the last one, both included."""

    code: Code
    donor: Line
    reference: Line
    currency: Currency
    amount: Amount
    first_day: date
    last_day: date


class NewAmendment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the grant is with it: the whole amount, and the last day."""

    kind: Amendment
    amount: Amount
    last_day: date


class NewGrantApproval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version that counts from now on."""

    version: Annotated[int, msgspec.Meta(ge=1, le=grants.VERSIONS_MAX)]


class NewNaming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The grant's code."""

    grant: Code


@post("/v1/grants", tags=["programmes"])
@once
async def enter_grant(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewGrant],
    idempotency_key: Key = None,
) -> Grant:
    """Enter a grant; it counts when another person approves it."""
    return await grants.enter(
        conn,
        grant_id=clock.new_id(),
        code=data.code,
        donor=data.donor,
        reference=data.reference,
        agreed=Agreed(
            money=amount_of(data.amount, data.currency, field="amount"),
            first_day=data.first_day,
            last_day=data.last_day,
        ),
        who=_who(actor),
    )


@get("/v1/grants", tags=["programmes"])
async def list_grants(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Grant]:
    """List one's own grants with their versions, and who entered and approved each."""
    found = await grants.list_grants(
        conn, partner_id=actor.partner_id, after=after, limit=limit + 1
    )
    return page(found, limit=limit, cursor="grant_id")


@post("/v1/grants/{grant_id:uuid}/amendments", tags=["programmes"])
@once
async def amend_grant(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    grant_id: FromPath[UUID],
    data: JSONBody[NewAmendment],
    idempotency_key: Key = None,
) -> Grant:
    """Enter an amendment: more days, or more money; another person approves it."""
    found = await grants.load_grant(conn, grant_id)
    return await grants.amend(
        conn,
        grant_id=grant_id,
        kind=data.kind,
        agreed=Agreed(
            money=amount_of(data.amount, found.currency, field="amount"),
            first_day=found.versions[0].agreed.first_day,
            last_day=data.last_day,
        ),
        who=_who(actor),
    )


@post("/v1/grants/{grant_id:uuid}/approval", tags=["programmes"])
@once
async def approve_grant(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    grant_id: FromPath[UUID],
    data: JSONBody[NewGrantApproval],
    idempotency_key: Key = None,
) -> Grant:
    """Approve a version that somebody else entered."""
    return await grants.approve(conn, grant_id=grant_id, version=data.version, who=_who(actor))


@post("/v1/rounds/{round_id:uuid}/grant", tags=["rounds"])
@once
async def name_grant(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    round_id: FromPath[UUID],
    data: JSONBody[NewNaming],
    idempotency_key: Key = None,
) -> Grant:
    """Say of which grant a round is paid; before its release, and the last word counts."""
    return await grants.name_round(conn, round_id=round_id, code=data.grant, who=_who(actor))


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


HANDLERS = (enter_grant, list_grants, amend_grant, approve_grant, name_grant)
