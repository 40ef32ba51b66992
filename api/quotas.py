"""How many persons an organisation may check a day: shown to it, and agreed by coordinators."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.check import quota_of
from api.db import Actor
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.quota_words import Says, standing
from api.state import Requested, Service
from cbi import quotas
from cbi.quotas import Agreed

PERSONS_PER_DAY_MAX = 250_000


class NewQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many persons another organisation may check a day, and until which day."""

    partner_id: UUID
    persons_per_day: Annotated[int, msgspec.Meta(ge=0, le=PERSONS_PER_DAY_MAX)]
    until: date


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What one's own organisation may check yet today, and when the next day begins."""

    persons_per_day: int
    persons_left: int
    opens_again_at: datetime
    says: Says


@get("/v1/check/quota", tags=["registration"])
async def show_quota(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
) -> Standing:
    """Show how many persons one's organisation may check yet today."""
    own = actor.partner_id
    quota = await quotas.in_force(conn, quota_of(service.settings, clock.today()), partner_id=own)
    left = max(quota.persons_per_day - await quotas.spent(conn, quota, partner_id=own), 0)
    return Standing(
        persons_per_day=quota.persons_per_day,
        persons_left=left,
        opens_again_at=quota.opens_again_at,
        says=standing(left, quota),
    )


@post("/v1/check/quotas", tags=["registration"])
@once
async def agree_quota(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    data: JSONBody[NewQuota],
    idempotency_key: Key = None,
) -> Agreed:
    """Set how many persons another organisation may check a day; never one's own."""
    return await quotas.agree(
        conn,
        partner_id=data.partner_id,
        persons_per_day=data.persons_per_day,
        until=data.until,
        at=clock.now(),
        today=clock.today(),
    )


@get("/v1/check/quotas", tags=["registration"])
async def list_quotas(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[Agreed]:
    """List what was agreed, by whom and when: one's own, or all for coordinators and auditors."""
    rows = await quotas.list_agreed(conn, after=after, limit=limit + 1)
    return page(rows, limit=limit, cursor="quota_no")


HANDLERS = (show_quota, agree_quota, list_quotas)
