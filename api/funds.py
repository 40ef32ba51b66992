"""A programme's money over HTTP: deposits, allotments, exchanges, fees, what a round left."""

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key
from api.programmes import Code, Line, amount_of
from api.programmes import Decimal as Amount
from api.state import Requested
from api.text import END
from cbi import fund
from cbi.enrol import load_programme
from cbi.refusal import BadValue
from cbi.wind_up import wind_up
from ledger.exchange import Exchange
from ledger.money import Money
from ledger.transfer import Transfer

Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}" + END)]
Rate = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?" + END)]


class NewFunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deposit of a donor; the same `deposit_id` is the same deposit.

    Without `currency` in the programme's; with `grant` it waits to be allotted.
    """

    deposit_id: UUID
    amount: Amount
    on: date
    currency: Currency | None = None
    grant: Code | None = None


class NewAllotment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money of a grant that may be used from now on; the same `allotment_id` is the same one."""

    allotment_id: UUID
    grant: Code
    amount: Amount
    on: date
    currency: Currency | None = None


class NewExchange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sold` given for `bought` at `rate`, units bought for one sold; the bank gave `received`.

    `reference` is the bank's, and tells two exchanges of one day apart. Without `received` it gave
    just what the rate says.
    """

    reference: Line
    sold: Amount
    sold_currency: Currency
    bought: Amount
    bought_currency: Currency
    rate: Rate
    rate_source: Line
    rate_on: date
    on: date
    received: Amount | None = None


class NewFee(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fee or tax that the provider kept; the same `fee_id` is the same one."""

    fee_id: UUID
    amount: Amount
    on: date
    currency: Currency | None = None


class Funded(msgspec.Struct, frozen=True, kw_only=True):
    """The transfer that was booked."""

    transfer_id: UUID
    money: Money


@post("/v1/programmes/{programme_id:uuid}/funds", tags=["programmes"])
@once
async def deposit(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewFunds],
    idempotency_key: Key = None,
) -> Funded:
    """Book a donor's deposit."""
    booked = await fund.deposit(
        conn,
        programme_id=programme_id,
        money=await _money(conn, programme_id, data.amount, data.currency),
        deposit_id=data.deposit_id,
        of_grant=data.grant,
        on=data.on,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return _funded(booked)


@post("/v1/programmes/{programme_id:uuid}/allotments", tags=["programmes"])
@once
async def allot(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewAllotment],
    idempotency_key: Key = None,
) -> Funded:
    """Let money of a grant be used."""
    booked = await fund.allot(
        conn,
        programme_id=programme_id,
        of_grant=data.grant,
        money=await _money(conn, programme_id, data.amount, data.currency),
        allotment_id=data.allotment_id,
        on=data.on,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return _funded(booked)


@post("/v1/programmes/{programme_id:uuid}/exchanges", tags=["programmes"])
@once
async def exchange(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewExchange],
    idempotency_key: Key = None,
) -> list[Funded]:
    """Book an exchange of two currencies, with gain or loss against the rate."""
    sold = amount_of(data.sold, data.sold_currency, field="sold")
    bought = amount_of(data.bought, data.bought_currency, field="bought")
    received = bought
    if data.received is not None:
        received = amount_of(data.received, data.bought_currency, field="received")
    try:
        sale = Exchange(
            partner_id=actor.partner_id,
            name=data.reference,
            sold=sold,
            bought=bought,
            rate=Decimal(data.rate),
            rate_source=data.rate_source,
            rate_on=data.rate_on,
        )
    except ValueError as error:
        raise BadValue(field="rate", reason=str(error)) from error
    booked = await fund.exchange(
        conn,
        programme_id=programme_id,
        sale=sale,
        received=received,
        on=data.on,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return [_funded(one) for one in booked]


@post("/v1/programmes/{programme_id:uuid}/fees", tags=["programmes"])
@once
async def charge(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewFee],
    idempotency_key: Key = None,
) -> list[Funded]:
    """Book a fee or a tax that the provider kept."""
    booked = await fund.charge(
        conn,
        programme_id=programme_id,
        money=await _money(conn, programme_id, data.amount, data.currency),
        fee_id=data.fee_id,
        on=data.on,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return [_funded(one) for one in booked]


@post("/v1/rounds/{round_id:uuid}/closing", tags=["rounds"])
@once
async def close_round(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Money:
    """Give what is left of a released round back to its programme; says how much that was.

    When money comes back after that, the same call gives that back as well.
    """
    return await wind_up(
        conn,
        round_id=round_id,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        on=clock.today(),
        at=clock.now(),
    )


async def _money(
    conn: AsyncConnection, programme_id: UUID, amount: str, currency: str | None
) -> Money:
    programme = await load_programme(conn, programme_id)
    return amount_of(amount, currency or programme.currency, field="amount")


def _funded(booked: Transfer) -> Funded:
    return Funded(transfer_id=booked.transfer_id, money=booked.money)


HANDLERS = (deposit, allot, exchange, charge, close_round)
