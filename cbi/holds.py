"""What families are held for: why a promise is refused, and until when."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, attempts, tables
from cbi.overlap import Span, months_of, until
from cbi.overlap_refusal import Overlap
from cbi.refusal import BadValue, HouseholdEnded, NotFound
from dedup.deadline import PERU

# The database's rules that keep a family from two promises of what may not be together.
OVERLAPS = frozenset(
    {
        "hold_no_overlap",
        "hold_no_overlap_of_household",
        "enrolment_one_open_per_beneficiary",
        "enrolment_one_open_per_household",
    }
)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a household's family can't be promised, and for which days."""

    household_id: UUID
    assistance: str
    span: Span


async def held(conn: AsyncConnection, household_ids: Sequence[UUID], *, at: datetime) -> list[Held]:
    """Return what the families of these households can't be promised, at that moment."""
    rows = await conn.execute(
        text(
            "SELECT household_id, assistance, lower(months) AS first, upper(months) AS after"
            " FROM cbi.held(:wanted ::uuid[], :at)"
        ),
        {"wanted": list(household_ids), "at": at},
    )
    return [
        Held(
            household_id=row.household_id,
            assistance=row.assistance,
            span=Span(first=row.first, end=row.after),
        )
        for row in rows
    ]


async def overlap(
    conn: AsyncConnection,
    household_id: UUID,
    assistance: str,
    months: Span | None,
    *,
    at: datetime,
) -> Overlap:
    """Return why this assistance can't be promised in these months: until when, whom to ask."""
    day = day_of(at)
    wanted = months or Span(first=day.replace(day=1), end=None)
    spans = [
        each.span
        for each in await held(conn, [household_id], at=at)
        if each.assistance == assistance
    ]
    in_the_way = [span for span in spans if span.overlaps(wanted)]
    version, rules = await agree.in_force(conn, day)
    attempts.remember(
        conn, household_id, assistance=assistance, months=wanted, rules_version=version, at=at
    )
    return Overlap(
        household_id=household_id,
        assistance=assistance,
        until=until(in_the_way or spans),
        ask=rules.contact,
    )


def span_of(first_month: date | None, months: int | None) -> Span | None:
    """Return the months that somebody asks for, if any; raises BadValue unless both are said."""
    if first_month is None and months is None:
        return None
    if first_month is None or months is None:
        raise BadValue(field="months", reason="a first month and a number of months, or neither")
    if first_month.day != 1 or not date(2000, 1, 1) <= first_month < date(2200, 1, 1):
        raise BadValue(field="first_month", reason="a first day of a month between 2000 and 2199")
    return months_of(first_month, months)


def day_of(moment: datetime) -> date:
    """Return a moment's day in Peru."""
    return moment.astimezone(PERU).date()


async def must_stand(conn: AsyncConnection, household_id: UUID) -> None:
    """Raise NotFound, or HouseholdEnded: nothing is promised to who is registered no more."""
    home = tables.household.c
    found = await conn.execute(select(home.ended_at).where(home.household_id == household_id))
    row = found.one_or_none()
    if row is None:
        raise NotFound(what="household", wanted=household_id)
    if row.ended_at is not None:
        raise HouseholdEnded(household_id=household_id)
