"""Who can be paid now, and what keeps the others from it.

Asked for a page at a time, and the database answers with the exceptions only: of a million
families that can be paid, nothing is told.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import get_args
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.basis import load_lines
from cbi.caps import above_cap, months_paid
from cbi.disbursement import Round, Step
from cbi.enrol import Programme, consents_missing, families
from cbi.entitlement import NOTHING_DUE, Award, Basis, Due, Entitlement, Payee, Why, award
from cbi.identities import open_households
from cbi.payment_files.profile import Paid
from cbi.person import Person
from cbi.profiles import load_round_profile
from cbi.term import day_of
from cbi.top_up import asks_persons, due
from cbi.vault import Vault
from dedup import judge
from dedup.driver import Row, fetch

_ENROLLED = """
    SELECT e.enrolment_id, e.household_id, e.beneficiary_id, h.size, h.ubigeo, e.instrument_kind,
        CASE WHEN $4 THEN e.enrolled_at END
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

# Whoever is enrolled for other months, or was: an enrolment's hold says which are left of them.
_NOT_PROMISED = """
    SELECT w.household_id FROM unnest($1 ::uuid[]) AS w(household_id)
    WHERE EXISTS (SELECT FROM cbi.enrolment AS e CROSS JOIN LATERAL (
            SELECT c.months, c.standing FROM cbi.hold AS c
            WHERE c.enrolment_id = e.enrolment_id OFFSET 0) AS h
        WHERE e.household_id = w.household_id AND e.programme_id = $2 AND e.closed_at IS NULL
            AND (lower(e.months) > $3 ::date OR upper(h.months) < $4 ::date
                 OR NOT upper_inf(h.standing)))"""

# Whom the rules keep from months of the round that are before the enrolment's own.
_EARLIER_HELD = """
    SELECT k.household_id FROM cbi.earlier_held(
        $1 ::uuid[], $2 ::uuid, daterange($3 ::date, $4 ::date), $5 ::timestamptz) AS k"""

# Families that the round pays by a page before this one.
_IN_ROUND = """
    SELECT e.beneficiary_id FROM cbi.entitlement AS e
    WHERE e.round_id = $1 AND e.kind = 'instalment' AND e.beneficiary_id = ANY ($2 ::uuid[])"""

_MONTHS_BEFORE = """
    SELECT w.enrolment_id, b.months FROM unnest($1 ::uuid[]) AS w(enrolment_id)
    CROSS JOIN LATERAL (
        SELECT cbi.months_promised(w.enrolment_id) AS months OFFSET 0) AS b WHERE b.months > 0"""

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


class _Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """What the terms ask of enrolments, and of households what they are due."""

    months_before: dict[UUID, int]
    month_minor: dict[UUID, int]
    due: dict[UUID, Due]


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
    conn: AsyncConnection,
    opened: Round,
    programme: Programme,
    basis: Basis,
    *,
    after: UUID,
    limit: int,
    at: datetime,
    vault: Vault | None = None,
) -> list[Payee]:
    """Load the next open enrolments of the programme with what blocks each, ordered by enrolment.

    Nobody is a payee whose family the round pays already.
    """
    # No family parts or grows between our reading how many they are and promising it to them.
    await conn.execute(_SHARE_FAMILIES)
    by_day = basis.schedule is not None
    rows = await fetch(conn, _ENROLLED, programme.programme_id, after, limit, by_day)
    believed = {row[1]: row[2] for row in rows}
    found = await _look(conn, opened, programme, believed, at=at)
    beneficiary_of = believed | found.moved
    # Of two households of one family the first is paid: they may have been joined since.
    taken = {
        row[0]
        for row in await fetch(conn, _IN_ROUND, opened.round_id, list(beneficiary_of.values()))
    }
    # Nobody is opened who is not paid anyway.
    payable = [row for row in rows if row[1] not in found.reasons]
    weighed = await _weigh(conn, opened, basis, payable, vault)
    payees, is_plain = [], basis.is_plain
    for enrolment_id, household_id, _, size, ubigeo, kind, enrolled_at in rows:
        beneficiary_id = beneficiary_of[household_id]
        reasons = found.reasons.get(household_id, [])
        if beneficiary_id in found.assisted or beneficiary_id in taken:
            reasons = ["paid_in_these_months", *reasons]
        payee = Payee(
            enrolment_id=enrolment_id,
            household_id=household_id,
            beneficiary_id=beneficiary_id,
            household_size=size,
            ubigeo=ubigeo,
            enrolled_on=day_of(enrolled_at) if by_day else date.min,
            months_before=weighed.months_before.get(enrolment_id, 0),
            instrument_kind=kind,
            month_minor=weighed.month_minor.get(enrolment_id, 0),
            due=weighed.due.get(household_id, NOTHING_DUE),
            blocked=tuple(reasons),
        )
        if not is_plain and not isinstance(got := award(payee, basis), Award):
            payee = msgspec.structs.replace(payee, blocked=(*payee.blocked, got))
        if not payee.blocked:
            taken.add(beneficiary_id)
        payees.append(payee)
    return payees


async def _weigh(
    conn: AsyncConnection, opened: Round, basis: Basis, rows: Sequence[Row], vault: Vault | None
) -> _Weighed:
    """Look up what the terms of the round ask for, and nothing where they ask for nothing."""
    months_before: dict[UUID, int] = {}
    month_minor: dict[UUID, int] = {}
    due_of: dict[UUID, Due] = {}
    enrolment_ids = sorted(row[0] for row in rows)
    if basis.schedule is not None and basis.schedule.instalments is not None:
        months_before = dict(await fetch(conn, _MONTHS_BEFORE, enrolment_ids))
    if any(each.per_month_minor is not None for each in basis.limits.values()):
        capped = [row[0] for row in rows if row[5] in basis.limits]
        month_minor = await months_paid(conn, opened, capped)
    lines = await load_lines(conn, opened.programme_id, basis.top_up_version)
    if lines:
        household_ids = [row[1] for row in rows]
        persons: dict[UUID, tuple[Person, ...]] = {}
        if asks_persons(lines):
            assert vault is not None, "whoever is to be counted by age has to be opened"
            found = await open_households(conn, household_ids, vault=vault, purpose="top-up")
            persons = {household_id: one.persons for household_id, one in found.items()}
        due_of = {
            household_id: due(lines, persons.get(household_id, ()), basis.first_month)
            for household_id in household_ids
        }
    return _Weighed(months_before=months_before, month_minor=month_minor, due=due_of)


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
    for household_id in await above_cap(conn, opened, programme.currency, entitlements):
        blocked[household_id] = [*blocked.get(household_id, []), "above_instrument_cap"]
    return {household_id: tuple(reasons) for household_id, reasons in blocked.items()}


async def _look(
    conn: AsyncConnection,
    opened: Round,
    programme: Programme,
    believed: dict[UUID, UUID],
    *,
    at: datetime | None = None,
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
    months = (opened.programme_id, opened.first_month, opened.end_month)
    not_promised = {row[0] for row in await fetch(conn, _NOT_PROMISED, wanted, *months)}
    not_promised |= {row[0] for row in await fetch(conn, _EARLIER_HELD, wanted, *months, at)}
    for household_id in sorted(not_promised):
        reasons.setdefault(household_id, []).append("not_promised")
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
    # A household's instalment and its top-up are no two payments of one assistance.
    household_ids = list(dict.fromkeys(row[1] for row in rows))
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
