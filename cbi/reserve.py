"""Reserve a family for some days before it is enrolled: the first one holds it."""

from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, holds
from cbi.enrol import load_programme
from cbi.overlap import Reserving, Span, months_of
from cbi.overlap_refusal import (
    RenewalsSpent,
    ReservationOver,
    ReservationPaused,
    ReservationQuotaSpent,
)
from cbi.overlap_tables import reservation, reservation_event
from cbi.refusal import BadValue, NotFound, OpenCase
from cbi.who import Who
from dedup import judge
from ledger.violation import constraint_of

State = Literal["open", "expired", "cancelled", "enrolled"]
_RESERVATIONS = """
    SELECT r.reservation_id, r.household_id, r.programme_id, r.assistance,
        lower(r.months) AS first_month, upper(r.months) AS end_month, r.reserved_at,
        coalesce(e.expires_at, r.expires_at) AS expires_at, e.renewals, e.ended
    FROM cbi.reservation AS r
    -- Reservations carry no area of their own; a key of an area sees no other household.
    JOIN cbi.household AS h USING (household_id)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE v.kind = 'renewed') AS renewals,
            max(v.expires_at) AS expires_at, max(v.kind) FILTER (WHERE v.kind <> 'renewed') AS ended
        FROM cbi.reservation_event AS v WHERE v.reservation_id = r.reservation_id) AS e"""
# How many reservations of an organisation stand.
_OPEN = """
    SELECT count(*) FROM cbi.hold AS h
    WHERE h.partner_id = :partner_id AND h.reservation_id IS NOT NULL
      AND h.standing @> :at ::timestamptz"""
# When the organisation's last reservation of this kind for the family, that came to nothing, ended.
_ENDED = """
    SELECT max(coalesce(upper(o.standing), o.held_at)) FROM cbi.holds_around(:household_id) AS o
    WHERE o.partner_id = :partner_id AND o.reservation_id IS NOT NULL AND o.assistance = :assistance
      AND NOT EXISTS (SELECT FROM cbi.reservation_event AS v
                      WHERE v.reservation_id = o.reservation_id AND v.kind = 'enrolled')
      AND NOT o.standing @> :at ::timestamptz"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be reserved: a kind of assistance, or that of a programme, for some months.

    Without months it is for as many as the rules say, from this month on.
    """

    household_id: UUID
    assistance: str | None = None
    programme_id: UUID | None = None
    first_month: date | None = None
    months: int | None = None


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A family reserved by one's own organisation, as it stands."""

    reservation_id: UUID
    household_id: UUID
    programme_id: UUID | None
    assistance: str
    first_month: date
    end_month: date
    reserved_at: datetime
    expires_at: datetime
    renewals: int
    state: State


async def reserve(
    conn: AsyncConnection, wanted: Wanted, *, reservation_id: UUID, by: Who
) -> Reservation:
    """Reserve a family; the first one who does holds it until it expires.

    Raises NotFound, BadValue, OpenCase, ReservationQuotaSpent, ReservationPaused, Overlap.
    """
    assistance = await _assistance(conn, wanted)
    await _must_be_valid(conn, wanted.household_id)
    _, rules = await agree.in_force(conn, holds.day_of(by.at))
    months = _months(wanted, rules.default_months, holds.day_of(by.at))
    await _claim(conn, rules.reserving, by)
    await _must_not_pause(conn, wanted.household_id, assistance, rules.reserving, by)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(reservation).values(
                    reservation_id=reservation_id,
                    partner_id=by.partner_id,
                    household_id=wanted.household_id,
                    programme_id=wanted.programme_id,
                    assistance=assistance,
                    months=Range(months.first, months.end),
                    reserved_at=by.at,
                    reserved_by=by.actor_id,
                    expires_at=by.at + timedelta(days=rules.reserving.days),
                )
            )
    except IntegrityError as error:
        if constraint_of(error) in holds.OVERLAPS:
            raise await holds.overlap(
                conn, wanted.household_id, assistance, months, at=by.at
            ) from error
        raise
    return await load_reservation(conn, reservation_id, at=by.at)


async def renew(conn: AsyncConnection, *, reservation_id: UUID, by: Who) -> Reservation:
    """Let a reservation stand as long again from now on.

    Raises NotFound, ReservationOver, RenewalsSpent.
    """
    found = await load_reservation(conn, reservation_id, at=by.at)
    _, rules = await agree.in_force(conn, holds.day_of(by.at))
    if found.state != "open":
        raise ReservationOver(reservation_id=reservation_id)
    if found.renewals >= rules.reserving.renewals_max:
        raise RenewalsSpent(
            reservation_id=reservation_id, renewals_max=rules.reserving.renewals_max
        )
    until = max(found.expires_at, by.at + timedelta(days=rules.reserving.days))
    await _add(conn, found, kind="renewed", expires_at=until, by=by)
    return await load_reservation(conn, reservation_id, at=by.at)


async def cancel(conn: AsyncConnection, *, reservation_id: UUID, by: Who) -> Reservation:
    """Give a family free again; raises NotFound, ReservationOver."""
    found = await load_reservation(conn, reservation_id, at=by.at)
    if found.state != "open":
        raise ReservationOver(reservation_id=reservation_id)
    await _add(conn, found, kind="cancelled", expires_at=None, by=by)
    return await load_reservation(conn, reservation_id, at=by.at)


async def load_reservation(
    conn: AsyncConnection, reservation_id: UUID, *, at: datetime
) -> Reservation:
    """Load one as it stands at a moment; raises NotFound."""
    rows = await conn.execute(
        text(f"{_RESERVATIONS} WHERE r.reservation_id = :id"), {"id": reservation_id}
    )
    row = rows.one_or_none()
    if row is None:
        raise NotFound(what="reservation", wanted=reservation_id)
    return _as_it_stands(row._asdict(), at)


async def list_reservations(
    conn: AsyncConnection, *, after: UUID | None, limit: int, at: datetime
) -> list[Reservation]:
    """List the organisation's own, oldest first."""
    rows = await conn.execute(
        text(
            f"{_RESERVATIONS} WHERE (:after ::uuid IS NULL OR r.reservation_id > :after ::uuid)"
            " ORDER BY r.reservation_id LIMIT :limit"
        ),
        {"after": after, "limit": limit},
    )
    return [_as_it_stands(row._asdict(), at) for row in rows]


def _as_it_stands(row: dict[str, object], at: datetime) -> Reservation:
    ended = row.pop("ended")
    expires_at = row["expires_at"]
    assert isinstance(expires_at, datetime)
    state = ended or ("open" if at < expires_at else "expired")
    return msgspec.convert({**row, "state": state}, Reservation)


async def _assistance(conn: AsyncConnection, wanted: Wanted) -> str:
    if (wanted.assistance is None) == (wanted.programme_id is None):
        raise BadValue(field="assistance", reason="a kind of assistance or a programme")
    if wanted.assistance is not None:
        return wanted.assistance
    assert wanted.programme_id is not None
    return (await load_programme(conn, wanted.programme_id)).assistance_group


async def _must_be_valid(conn: AsyncConnection, household_id: UUID) -> None:
    await holds.must_stand(conn, household_id)
    cases = await judge.open_case_ids(conn, [household_id])
    if cases.get(household_id):
        raise OpenCase(household_id=household_id, case_ids=cases[household_id])


def _months(wanted: Wanted, default_months: int | None, today: date) -> Span:
    months = wanted.months or default_months
    if months is None:
        raise BadValue(field="months", reason="no rules in force say for how many")
    first = wanted.first_month or today.replace(day=1)
    span = holds.span_of(first, months)
    return span or months_of(first, months)


async def _claim(conn: AsyncConnection, reserving: Reserving, by: Who) -> None:
    # One at a time of an organisation, or two at once would both find room for themselves.
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"),
        {"what": f"cbi.reservation {by.partner_id}"},
    )
    facts = {"partner_id": by.partner_id, "at": by.at}
    if (await conn.scalar(text(_OPEN), facts) or 0) >= reserving.open_max:
        raise ReservationQuotaSpent(open_max=reserving.open_max)


async def _must_not_pause(
    conn: AsyncConnection, household_id: UUID, assistance: str, reserving: Reserving, by: Who
) -> None:
    facts = {"household_id": household_id, "assistance": assistance}
    ended = await conn.scalar(text(_ENDED), {**facts, "partner_id": by.partner_id, "at": by.at})
    if ended is not None and by.at < (until := ended + timedelta(days=reserving.pause_days)):
        raise ReservationPaused(household_id=household_id, until=until)


async def _add(
    conn: AsyncConnection,
    found: Reservation,
    *,
    kind: Literal["renewed", "cancelled"],
    expires_at: datetime | None,
    by: Who,
) -> None:
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(reservation_event).values(
                    reservation_id=found.reservation_id,
                    event_no=found.renewals + 1,
                    partner_id=by.partner_id,
                    kind=kind,
                    at=by.at,
                    actor_id=by.actor_id,
                    expires_at=expires_at,
                )
            )
    except IntegrityError as error:
        # Somebody else has just renewed, cancelled or used it.
        if constraint_of(error) in {
            "reservation_event_once",
            "reservation_ended_once",
            "reservation_standing",
        }:
            raise ReservationOver(reservation_id=found.reservation_id) from error
        raise
