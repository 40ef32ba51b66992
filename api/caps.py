"""Caps of payment instruments over HTTP: what coordination enters, everybody who pays may read."""

from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.programmes import Decimal as Amount
from api.programmes import amount_of
from api.state import Requested
from api.text import END, NOT_NUL
from cbi import caps
from cbi.cap import Cap, Instrument, Uit
from cbi.refusal import BadValue
from cbi.who import Who

Source = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NOT_NUL)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}" + END)]
UIT_MAX = 1_000
NUMBER_MAX = 2**63 - 1


class NewUit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a UIT is worth in soles from a day on; `source` is the norm that says so."""

    effective_from: date
    amount: Amount
    source: Source
    is_example: bool = False


class NewCap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so much a transaction, a month, on the instrument; what is left out has no limit.

    Amounts are decimals of the currency or, `in_uit`, of a UIT (three decimals at most).
    """

    instrument_kind: Instrument
    currency: Currency
    effective_from: date
    in_uit: bool = False
    per_transaction: Amount | None = None
    per_month: Amount | None = None
    balance: Amount | None = None
    source: Source
    is_example: bool = False


@post("/v1/uit-values", tags=["rounds"])
@once
async def add_uit(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewUit],
    idempotency_key: Key = None,
) -> Uit:
    """Enter what a UIT is worth; of those approved the newest that is effective counts."""
    uit = Uit(
        uit_no=0,
        effective_from=data.effective_from,
        amount_minor=amount_of(data.amount, "PEN", field="amount").amount_minor,
        source=data.source,
        is_example=data.is_example,
    )
    return await caps.add_uit(conn, uit, who=_who(actor))


@post("/v1/uit-values/{uit_no:int}/approval", tags=["rounds"])
@once
async def approve_uit(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    uit_no: FromPath[int],
    idempotency_key: Key = None,
) -> Uit:
    """Approve a value that somebody else entered."""
    return await caps.approve_uit(conn, uit_no=_known(uit_no, "uit_no"), who=_who(actor))


@get("/v1/uit-values", tags=["rounds"])
async def list_uits(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[Uit]:
    """List what a UIT was worth, as it was entered, and who entered and approved it."""
    found = await caps.load_uits(conn, after=after, limit=limit + 1)
    return page(found, limit=limit, cursor="uit_no")


@post("/v1/instrument-caps", tags=["rounds"])
@once
async def add_cap(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewCap],
    idempotency_key: Key = None,
) -> Cap:
    """Enter the caps of an instrument; of those approved the newest that are effective count."""
    if (data.per_transaction, data.per_month, data.balance) == (None, None, None):
        raise BadValue(field="per_transaction", reason="a cap limits something")
    if data.in_uit and data.currency != "PEN":
        raise BadValue(field="currency", reason="a UIT is worth soles")
    cap = Cap(
        cap_no=0,
        instrument_kind=data.instrument_kind,
        currency=data.currency,
        effective_from=data.effective_from,
        unit="uit_thousandths" if data.in_uit else "minor",
        per_transaction=_limit(data, "per_transaction"),
        per_month=_limit(data, "per_month"),
        balance=_limit(data, "balance"),
        source=data.source,
        is_example=data.is_example,
    )
    return await caps.add_cap(conn, cap, who=_who(actor))


@post("/v1/instrument-caps/{cap_no:int}/approval", tags=["rounds"])
@once
async def approve_cap(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    cap_no: FromPath[int],
    idempotency_key: Key = None,
) -> Cap:
    """Approve a cap that somebody else entered."""
    return await caps.approve_cap(conn, cap_no=_known(cap_no, "cap_no"), who=_who(actor))


@get("/v1/instrument-caps", tags=["rounds"])
async def list_caps(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[Cap]:
    """List the caps of instruments, as they were entered, and who entered and approved them."""
    found = await caps.load_caps(conn, after=after, limit=limit + 1)
    return page(found, limit=limit, cursor="cap_no")


def _limit(data: NewCap, field: str) -> int | None:
    amount: str | None = getattr(data, field)
    if amount is None:
        return None
    if not data.in_uit:
        return amount_of(amount, data.currency, field=field).amount_minor
    amount_of("1", data.currency, field="currency")
    thousandths = Decimal(amount) * 1000
    if thousandths != int(thousandths) or not 0 < thousandths <= UIT_MAX * 1000:
        raise BadValue(field=field, reason=f"up to {UIT_MAX} UIT, with three decimals at most")
    return int(thousandths)


def _known(number: int, field: str) -> int:
    if not 1 <= number <= NUMBER_MAX:
        raise BadValue(field=field, reason="there is no such number")
    return number


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


HANDLERS = (add_uit, approve_uit, list_uits, add_cap, approve_cap, list_caps)
