"""Households that part, join or change hands over HTTP."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.events import Note, who_of
from api.households import CODE
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from cbi import household, merge, split, transfer
from cbi.register import Receipt
from cbi.transfer import Offer


class Parting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Persons who part: the form of a household of their own, under a reference of its own."""

    on: date
    note: Note = ""
    form: dict[str, Any]


class Joining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another household of the same organisation, which ends in this one."""

    on: date
    note: Note = ""
    other_household_id: UUID


class NewOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The organisation, by its code, that a household is offered to."""

    partner: Annotated[str, msgspec.Meta(pattern=CODE)]


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reference that the household gets at who takes it over."""

    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


@post("/v1/households/{household_id:uuid}/splits", tags=["households"])
@once
async def split_household(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Parting],
    idempotency_key: Key = None,
) -> Receipt:
    """Register persons of a household as one of their own; the answer is its receipt."""
    today = clock.today()
    return await split.split(
        conn,
        household_id,
        household.read(data.form, today=today),
        desk=service.desk,
        who=who_of(actor),
        area=actor.area,
        today=today,
        on=data.on,
        note=data.note,
    )


@post("/v1/households/{household_id:uuid}/joins", tags=["households"])
@once
async def join_households(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Joining],
    idempotency_key: Key = None,
) -> Receipt:
    """Take the persons of another household in, which ends."""
    return await merge.merge(
        conn,
        household_id,
        data.other_household_id,
        on=data.on,
        note=data.note,
        desk=service.desk,
        who=who_of(actor),
        today=clock.today(),
    )


@post("/v1/households/{household_id:uuid}/transfers", tags=["households"])
@once
async def offer_household(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[NewOffer],
    idempotency_key: Key = None,
) -> Offer:
    """Offer a household to another organisation for 14 days, on its consent to referrals."""
    return await transfer.offer(
        conn,
        household_id,
        to_partner=data.partner,
        desk=service.desk,
        who=who_of(actor),
        today=clock.today(),
    )


@get("/v1/transfers", tags=["households"])
async def list_offers(
    conn: NamedDependency[AsyncConnection],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Offer]:
    """List what one's organisation offered, and what was offered to it: district and size."""
    items = await transfer.list_offers(conn, at=clock.now(), after=after, limit=limit + 1)
    return page(items, limit=limit, cursor="offer_id")


@post("/v1/transfers/{offer_id:uuid}/acceptance", tags=["households"])
@once
async def accept_offer(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    offer_id: FromPath[UUID],
    data: JSONBody[Acceptance],
    idempotency_key: Key = None,
) -> Receipt:
    """Take a household over, under a reference of one's own."""
    return await transfer.accept(
        conn,
        offer_id,
        reference=data.reference,
        desk=service.desk,
        who=who_of(actor),
        area=actor.area,
        today=clock.today(),
    )


@post("/v1/transfers/{offer_id:uuid}/refusal", tags=["households"])
@once
async def refuse_offer(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    offer_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Offer:
    """Refuse an offer, or take one's own back."""
    return await transfer.refuse(conn, offer_id, who=who_of(actor))


HANDLERS = (
    split_household,
    join_households,
    offer_household,
    list_offers,
    accept_offer,
    refuse_offer,
)
