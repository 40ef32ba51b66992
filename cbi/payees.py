"""Who can be paid now, and what keeps the others from it.

Asked for a page at a time, and the database answers with the exceptions only: of a million
families that can be paid, nothing is told.
"""

from collections.abc import Sequence
from typing import get_args
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.disbursement import Round, Step
from cbi.enrol import Programme, consents_missing, families
from cbi.entitlement import Entitlement, Payee, Why
from cbi.payment_files.profile import Paid
from cbi.profiles import load_round_profile
from dedup import judge
from dedup.driver import fetch

_ENROLLED = """
    SELECT e.enrolment_id, e.household_id, e.beneficiary_id, h.size
    FROM cbi.enrolment AS e JOIN cbi.household AS h USING (household_id)
    WHERE e.programme_id = $1 AND e.closed_at IS NULL AND e.enrolment_id > $2
    ORDER BY e.enrolment_id LIMIT $3"""

# The family of today, not of the day of enrolment: judgements may have joined or parted it since.
_MOVED = """
    SELECT w.household_id, b.beneficiary_id
    FROM unnest($1 ::uuid[], $2 ::uuid[]) AS w(household_id, believed)
    CROSS JOIN LATERAL (
        SELECT m.beneficiary_id FROM cbi.membership AS m WHERE m.household_id = w.household_id
        ORDER BY m.membership_no DESC LIMIT 1) AS b
    WHERE b.beneficiary_id <> w.believed"""

_ASSISTED = """
    SELECT a.beneficiary_id
    FROM cbi.assisted($1 ::uuid[], $2, daterange($3 ::date, $4 ::date), $5 ::uuid) AS a"""

# What a family was promised before a part of it became one of its own counts for that part too.
_BEFORE_SPLIT = """
    SELECT s.beneficiary_id
    FROM cbi.promised_before_split($1 ::uuid[], $2, daterange($3 ::date, $4 ::date)) AS s"""

_ERASED = """
    SELECT w.household_id FROM unnest($1 ::uuid[]) AS w(household_id)
    WHERE (SELECT true FROM cbi.data_key AS k WHERE k.household_id = w.household_id) IS NOT TRUE"""

# Whether anybody of the programme was enrolled with what its file does not pay: hardly ever.
_ANY_NOT_PAID = """
    SELECT EXISTS (SELECT FROM cbi.enrolment AS e
        WHERE e.programme_id = $1 AND e.instrument_kind = ANY ($2 ::text[])
            AND e.closed_at IS NULL)"""
_NOT_PAID = """
    SELECT w.household_id FROM unnest($3 ::uuid[]) AS w(household_id)
    WHERE EXISTS (SELECT FROM cbi.enrolment AS e
        WHERE e.household_id = w.household_id AND e.programme_id = $1
            AND e.instrument_kind = ANY ($2 ::text[]) AND e.closed_at IS NULL)"""

# Families that the round pays by a page before this one.
_IN_ROUND = """
    SELECT e.beneficiary_id FROM cbi.entitlement AS e
    WHERE e.round_id = $1 AND e.kind = 'instalment' AND e.beneficiary_id = ANY ($2 ::uuid[])"""

# Payments of the round to anybody who ever belonged to these families.
_PAYMENTS_TO = """
    SELECT e.entitlement_id, e.household_id
    FROM (SELECT DISTINCT m.household_id FROM cbi.membership AS m
          WHERE m.beneficiary_id = ANY ($2 ::uuid[])) AS h
    JOIN cbi.entitlement AS e USING (household_id)
    WHERE e.round_id = $1 AND e.cancelled_at IS NULL
    ORDER BY e.entitlement_id"""


_SHARE_FAMILIES = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('cbi.families', 0))")


class _Found(msgspec.Struct, frozen=True):
    """What is out of the ordinary among some households."""

    moved: dict[UUID, UUID]  # household → its family, where that is not the one believed
    assisted: set[UUID]  # families
    reasons: dict[UUID, list[Why]]  # besides being assisted


async def look_up_by_id(conn: AsyncConnection) -> None:
    """Let the rest of the transaction find rows by their indexes.

    Tables grow by a million rows between two looks of the planner, and what it believed before is
    kept with the statement: it would walk a whole table for each page.
    """
    await conn.execute(
        text(
            "SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan',"
            " 'enable_hashjoin', 'enable_mergejoin', 'jit']) AS setting(name)"
        )
    )


async def load_payees(
    conn: AsyncConnection, opened: Round, programme: Programme, *, after: UUID, limit: int
) -> list[Payee]:
    """Load the next open enrolments of the programme with what blocks each, ordered by enrolment.

    Nobody is a payee whose family the round pays already.
    """
    # No family parts or grows between our reading how many they are and promising it to them.
    await conn.execute(_SHARE_FAMILIES)
    rows = await fetch(conn, _ENROLLED, programme.programme_id, after, limit)
    believed = {row[1]: row[2] for row in rows}
    found = await _look(conn, opened, programme, believed)
    beneficiary_of = believed | found.moved
    # Of two households of one family the first is paid: they may have been joined since.
    taken = {
        row[0]
        for row in await fetch(conn, _IN_ROUND, opened.round_id, list(beneficiary_of.values()))
    }
    payees = []
    for enrolment_id, household_id, _, size in rows:
        beneficiary_id = beneficiary_of[household_id]
        reasons = found.reasons.get(household_id, [])
        if beneficiary_id in found.assisted or beneficiary_id in taken:
            reasons = ["paid_in_these_months", *reasons]
        if not reasons:
            taken.add(beneficiary_id)
        payees.append(
            Payee(
                enrolment_id=enrolment_id,
                household_id=household_id,
                beneficiary_id=beneficiary_id,
                household_size=size,
                blocked=tuple(reasons),
            )
        )
    return payees


async def blocked_of(
    conn: AsyncConnection,
    opened: Round,
    programme: Programme,
    entitlements: Sequence[Entitlement],
) -> dict[UUID, tuple[Why, ...]]:
    """Return who of a calculated round can't be paid as of now, with every reason.

    Where two households on the list were found to be one family, the later payment is named, be it
    among these or not.
    """
    believed = {each.household_id: each.beneficiary_id for each in entitlements}
    found = await _look(conn, opened, programme, believed)
    blocked = dict(found.reasons)
    again = await _paid_again(conn, opened, sorted(set(found.moved.values())))
    if found.assisted:
        beneficiary_of = believed | found.moved
        again |= {one for one in believed if beneficiary_of[one] in found.assisted}
    for household_id in again:
        blocked[household_id] = ["paid_in_these_months", *blocked.get(household_id, [])]
    return {household_id: tuple(reasons) for household_id, reasons in blocked.items()}


async def _look(
    conn: AsyncConnection, opened: Round, programme: Programme, believed: dict[UUID, UUID]
) -> _Found:
    # In the order of the indexes, neighbours are on one page of them.
    wanted = sorted(believed)
    moved = dict(await fetch(conn, _MOVED, wanted, [believed[one] for one in wanted]))
    asked = (
        sorted(set((believed | moved).values())),
        programme.assistance_group,
        opened.first_month,
        opened.end_month,
    )
    assisted = [
        *await fetch(conn, _ASSISTED, *asked, opened.round_id),
        *await fetch(conn, _BEFORE_SPLIT, *asked),
    ]
    reasons: dict[UUID, list[Why]] = {}
    # Whoever gets assistance goes on getting it until people have decided: a case that somebody's
    # registration opens must not take it away.
    with_case = list(await judge.open_case_ids(conn, wanted))
    paid_before = await _paid_before(conn, opened, with_case) if with_case else set()
    for household_id in with_case:
        if household_id not in paid_before:
            reasons.setdefault(household_id, []).append("open_case")
    for household_id in await consents_missing(conn, wanted):
        reasons.setdefault(household_id, []).append("consent")
    for household_id in await _without_instrument(conn, opened, wanted):
        reasons.setdefault(household_id, []).append("no_instrument")
    for (household_id,) in await fetch(conn, _ERASED, wanted):
        reasons.setdefault(household_id, []).append("erased")
    return _Found(moved=moved, assisted={row[0] for row in assisted}, reasons=reasons)


async def _without_instrument(
    conn: AsyncConnection, opened: Round, household_ids: Sequence[UUID]
) -> list[UUID]:
    """Return who was enrolled with an instrument that the round's file does not pay."""
    profile = await load_round_profile(conn, opened)
    not_paid = sorted(set(get_args(Paid)) - set(profile.instruments))
    ((is_any,),) = await fetch(conn, _ANY_NOT_PAID, opened.programme_id, not_paid)
    if not is_any:
        return []
    rows = await fetch(conn, _NOT_PAID, opened.programme_id, not_paid, household_ids)
    return [row[0] for row in rows]


async def _paid_again(
    conn: AsyncConnection, opened: Round, changed_families: list[UUID]
) -> set[UUID]:
    """Return the households of these families that an earlier payment of the round pays already."""
    if not changed_families:
        return set()
    rows = await fetch(conn, _PAYMENTS_TO, opened.round_id, changed_families)
    household_ids = [row[1] for row in rows]
    today = await families(conn, household_ids)
    first: set[UUID] = set()
    again: set[UUID] = set()
    for household_id in household_ids:
        beneficiary_id = today[household_id]
        (again if beneficiary_id in first else first).add(
            household_id if beneficiary_id in first else beneficiary_id
        )
    return again


async def _paid_before(
    conn: AsyncConnection, opened: Round, household_ids: Sequence[UUID]
) -> set[UUID]:
    """Return which households another, released round of the programme pays."""
    entitlement, round_ = tables.entitlement.c, tables.round_.c
    step = tables.round_step.c
    rows = await conn.scalars(
        select(entitlement.household_id)
        .distinct()
        .join_from(tables.entitlement, tables.round_, round_.round_id == entitlement.round_id)
        .join(tables.round_step, step.round_id == round_.round_id)
        .where(
            entitlement.household_id.in_(household_ids),
            entitlement.cancelled_at.is_(None),
            round_.programme_id == opened.programme_id,
            round_.round_id != opened.round_id,
            step.step == Step.RELEASED,
        )
    )
    return set(rows)
