"""Reservations and the waiting list over HTTP: an organisation's own, and no other's."""

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
from api.once import once
from api.overlaps import who
from api.page import Key, Limit, Page, page
from api.state import Requested
from cbi import reserve, wait
from cbi.overlap import MONTHS_MAX, Assistance
from cbi.reserve import Reservation, Wanted
from cbi.wait import Entry


class NewReservation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of assistance or a programme; months as the rules say unless said."""

    household_id: UUID
    assistance: Assistance | None = None
    programme_id: UUID | None = None
    first_month: date | None = None
    months: Annotated[int, msgspec.Meta(ge=1, le=MONTHS_MAX)] | None = None


class NewEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    household_id: UUID
    assistance: Assistance


@post("/v1/reservations", tags=["programmes"])
@once
async def reserve_household(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewReservation],
    idempotency_key: Key = None,
) -> Reservation:
    """Reserve a family before it is enrolled; the first valid reservation holds it."""
    return await reserve.reserve(
        conn,
        Wanted(**msgspec.structs.asdict(data)),
        reservation_id=clock.new_id(),
        by=who(actor),
    )


@get("/v1/reservations", tags=["programmes"])
async def list_reservations(
    conn: NamedDependency[AsyncConnection],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Reservation]:
    """List one's own reservations as they stand, oldest first."""
    items = await reserve.list_reservations(conn, after=after, limit=limit + 1, at=clock.now())
    return page(items, limit=limit, cursor="reservation_id")


@post("/v1/reservations/{reservation_id:uuid}/renewal", tags=["programmes"])
@once
async def renew_reservation(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    reservation_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Reservation:
    """Let a reservation stand as long again, as often as the rules allow."""
    return await reserve.renew(conn, reservation_id=reservation_id, by=who(actor))


@post("/v1/reservations/{reservation_id:uuid}/cancellation", tags=["programmes"])
@once
async def cancel_reservation(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    reservation_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Reservation:
    """Give a reserved family free again."""
    return await reserve.cancel(conn, reservation_id=reservation_id, by=who(actor))


@post("/v1/waiting", tags=["programmes"])
@once
async def wait_for_household(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewEntry],
    idempotency_key: Key = None,
) -> Entry:
    """Wait for a family that is held; who is on the list already stays in place."""
    return await wait.enter(
        conn,
        household_id=data.household_id,
        assistance=data.assistance,
        waiting_id=clock.new_id(),
        by=who(actor),
    )


@get("/v1/waiting", tags=["programmes"])
async def list_waiting(
    conn: NamedDependency[AsyncConnection],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Entry]:
    """List the families one waits for, whether it is one's turn, and until when."""
    items = await wait.list_waiting(conn, after=after, limit=limit + 1, at=clock.now())
    return page(items, limit=limit, cursor="waiting_id")


@post("/v1/waiting/{waiting_id:uuid}/withdrawal", tags=["programmes"])
@once
async def stop_waiting(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    waiting_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Entry:
    """Take a family off the list."""
    return await wait.withdraw(conn, waiting_id=waiting_id, by=who(actor))


HANDLERS = (
    reserve_household,
    list_reservations,
    renew_reservation,
    cancel_reservation,
    wait_for_household,
    list_waiting,
    stop_waiting,
)
