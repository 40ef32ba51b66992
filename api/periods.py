"""The books over HTTP: balances as of any day and moment, and periods that are closed."""

from datetime import date, datetime, timedelta

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested
from cbi.refusal import BadValue, NotFound
from ledger import prove, trial
from ledger.account import TrialRow
from ledger.close import close_period, closed_periods
from ledger.period import Period
from ledger.receipt import PeriodReceipt

FIRST, LAST = date(2000, 1, 1), date(9999, 12, 30)


class NewClosing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closes one's own books up to and with that day; it can't be taken back."""

    until: date


class PeriodRow(msgspec.Struct, frozen=True, kw_only=True):
    """A closed period in a list; `sha256` is of its trial balance, and is sealed."""

    until: date
    sha256: str
    closed_at: datetime


@get("/v1/ledger/trial-balance", tags=["ledger"])
async def trial_balance(
    conn: NamedDependency[AsyncConnection],
    as_of: FromQuery[date | None] = None,
    booked_until: FromQuery[date | None] = None,
    known_at: FromQuery[datetime | None] = None,
) -> list[TrialRow]:
    """Return every account's sums; debits equal credits.

    `as_of` counts what has its value date by that day; `booked_until` what stands in the periods
    up to it; `known_at` (with its zone) what had been posted by then.
    """
    if known_at is not None and known_at.tzinfo is None:
        raise BadValue(field="known_at", reason="a time without a zone")
    return await trial.trial_balance(
        conn, as_of=as_of, booked_until=booked_until, known_at=known_at
    )


@post("/v1/ledger/periods", tags=["ledger"])
@once
async def close(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewClosing],
    idempotency_key: Key = None,
) -> Period:
    """Close a period: what comes later is booked in the open one and keeps its value date."""
    return await close_period(
        conn,
        until=data.until,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


@get("/v1/ledger/periods", tags=["ledger"])
async def list_periods(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[date | None] = None,
    limit: Limit = 50,
) -> Page[PeriodRow]:
    """List one's own closed periods, oldest first."""
    since = FIRST if after is None else min(after, LAST) + timedelta(days=1)
    found = await closed_periods(conn, partner_id=actor.partner_id, since=since, limit=limit + 1)
    items = [
        PeriodRow(until=each.until, sha256=each.sha256, closed_at=each.closed_at) for each in found
    ]
    return page(items, limit=limit, cursor="until")


@get("/v1/ledger/periods/{until:date}", tags=["ledger"])
async def show_period(
    conn: NamedDependency[AsyncConnection], actor: NamedDependency[Actor], until: FromPath[date]
) -> Period:
    """Return one of one's own closed periods with its trial balance."""
    found = await closed_periods(conn, partner_id=actor.partner_id, since=until, limit=1)
    if not found or found[0].until != until:
        raise NotFound(what="period", wanted=until)
    return found[0]


@get("/v1/ledger/periods/{until:date}/receipt", tags=["ledger"])
async def period_receipt(
    conn: NamedDependency[AsyncConnection], actor: NamedDependency[Actor], until: FromPath[date]
) -> PeriodReceipt:
    """Return a closed period's trial balance with its proof, to be checked offline."""
    return await prove.period_receipt(conn, partner_id=actor.partner_id, until=until)


HANDLERS = (trial_balance, close, list_periods, show_period, period_receipt)
