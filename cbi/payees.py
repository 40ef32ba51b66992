"""Who can be paid now, and what keeps the others from it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import DATERANGE, Range
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.disbursement import Round, Step
from cbi.enrol import Programme, consents_missing, families
from cbi.entitlement import Entitlement, Payee, Why
from dedup import judge

ASSISTED = text(
    "SELECT beneficiary_id FROM cbi.assisted(:families ::uuid[], :group, :months, :round ::uuid)"
).bindparams(bindparam("months", type_=DATERANGE))


async def load_payees(conn: AsyncConnection, opened: Round, programme: Programme) -> list[Payee]:
    """Load every open enrolment of the programme with what blocks it, ordered by enrolment."""
    enrolment, home = tables.enrolment.c, tables.household.c
    rows = await conn.execute(
        select(
            enrolment.enrolment_id,
            enrolment.household_id,
            enrolment.beneficiary_id,
            home.size.label("household_size"),
        )
        .join_from(tables.enrolment, tables.household, home.household_id == enrolment.household_id)
        .where(enrolment.programme_id == programme.programme_id, enrolment.closed_at.is_(None))
        .order_by(enrolment.enrolment_id)
    )
    payees = [msgspec.convert(row._mapping, Payee) for row in rows]  # noqa: SLF001 -- public by its docs
    return await _as_of_now(conn, opened, programme, payees)


async def payees_of(
    conn: AsyncConnection,
    opened: Round,
    programme: Programme,
    entitlements: Sequence[Entitlement],
) -> list[Payee]:
    """Return the payees of a calculated round, with what blocks them as of now."""
    payees = [
        Payee(
            enrolment_id=each.enrolment_id,
            household_id=each.household_id,
            beneficiary_id=each.beneficiary_id,
            household_size=each.household_size,
        )
        for each in entitlements
    ]
    return await _as_of_now(conn, opened, programme, payees)


async def _as_of_now(
    conn: AsyncConnection, opened: Round, programme: Programme, payees: list[Payee]
) -> list[Payee]:
    wanted = [payee.household_id for payee in payees]
    # The family of today, not of the day of enrolment: judgements may have joined it since.
    family = await families(conn, wanted)
    assisted = set(
        await conn.scalars(
            ASSISTED,
            {
                "families": sorted(set(family.values())),
                "group": programme.assistance_group,
                "months": Range(opened.first_month, opened.end_month),
                "round": opened.round_id,
            },
        )
    )
    open_cases = await judge.open_case_ids(conn, wanted)
    paid_before = await _paid_before(conn, opened, wanted)
    missing = await consents_missing(conn, wanted)
    key = tables.data_key.c
    alive = set(await conn.scalars(select(key.household_id).where(key.household_id.in_(wanted))))
    taken: set[UUID] = set()
    checked = []
    for payee in payees:
        beneficiary_id = family[payee.household_id]
        reasons: list[Why] = []
        # Two households of one round that were joined since: the first of them stays.
        if beneficiary_id in assisted or beneficiary_id in taken:
            reasons.append("paid_in_these_months")
        # Whoever gets assistance goes on getting it until people have decided: a case that
        # somebody's registration opens must not take it away.
        if open_cases.get(payee.household_id) and payee.household_id not in paid_before:
            reasons.append("open_case")
        if missing.get(payee.household_id):
            reasons.append("consent")
        if payee.household_id not in alive:
            reasons.append("erased")
        if not reasons:
            taken.add(beneficiary_id)
        checked.append(
            msgspec.structs.replace(payee, beneficiary_id=beneficiary_id, blocked=tuple(reasons))
        )
    return checked


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
