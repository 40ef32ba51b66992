"""Programmes: open one, enrol households."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, holds, payer, tables
from cbi.eligible import Standing, must_be_eligible, stand_on
from cbi.identities import can_be_paid, open_households
from cbi.overlap import Span
from cbi.payment_files import pain001
from cbi.profiles import load_profile
from cbi.refusal import (
    AlreadyEnrolled,
    BadValue,
    ConsentMissing,
    EnrolmentClosed,
    HouseholdEnded,
    IdentityErased,
    NoInstrument,
    NotFound,
    OpenCase,
)
from cbi.term_refusal import OutsideProgramme, OverriddenByEnroller
from cbi.vault import Vault
from cbi.who import Who
from dedup import judge
from dedup.driver import fetch
from ledger import post
from ledger.violation import constraint_of

# What a household must have agreed to before money can be promised to it.
CONSENTS_NEEDED = ("registration", "fsp")
# The newest answer of each kind is the one in force. Whoever never answered anything but yes to
# each is seen at one glance, and nothing is told of them.
_CONSENTS_MISSING = """
    SELECT w.household_id, k.kind
    FROM (SELECT one.household_id FROM unnest($1 ::uuid[]) AS one(household_id)
          WHERE (SELECT bool_and(c.granted AND c.withdrawn_on IS NULL)
                    AND count(DISTINCT c.kind) = cardinality($2 ::text[])
                 FROM cbi.consent AS c
                 WHERE c.household_id = one.household_id AND c.kind = ANY ($2 ::text[]))
              IS NOT TRUE) AS w
    CROSS JOIN unnest($2 ::text[]) WITH ORDINALITY AS k(kind, place)
    WHERE (SELECT c.granted AND c.withdrawn_on IS NULL FROM cbi.consent AS c
           WHERE c.household_id = w.household_id AND c.kind = k.kind
           ORDER BY c.recorded_at DESC LIMIT 1) IS NOT TRUE
    ORDER BY w.household_id, k.place"""

_REFUSED = {
    "household_not_ended": HouseholdEnded,
    "enrolment_one_open": AlreadyEnrolled,
    "enrolment_in_area": OutsideProgramme,
    "eligibility_answer_another_person": OverriddenByEnroller,
}


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """A programme of one partner; the account it pays from is `payer`'s."""

    programme_id: UUID
    code: str
    name: str
    assistance_group: str
    currency: str
    payer_name: str
    payer_agent: str


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A household's place in a programme; without months it is for all until it is closed."""

    enrolment_id: UUID
    programme_id: UUID
    household_id: UUID
    beneficiary_id: UUID
    enrolled_at: datetime
    first_month: date | None = None
    end_month: date | None = None


async def open_programme(
    conn: AsyncConnection,
    programme: Programme,
    *,
    payer_account: str,
    vault: Vault,
    matching_key: bytes,
    partner_id: UUID,
    at: datetime,
) -> Programme:
    """Open a programme and its accounts in the ledger; raises BadValue for a bank unknown to us."""
    try:
        pain001.clearing_member(programme.payer_agent, payer_account)
    except ValueError as error:
        raise BadValue(field="payer_agent", reason=str(error)) from error
    await conn.execute(
        insert(tables.programme).values(
            partner_id=partner_id, added_at=at, **msgspec.structs.asdict(programme)
        )
    )
    await payer.store(
        conn,
        payer_account,
        programme_id=programme.programme_id,
        vault=vault,
        matching_key=matching_key,
        partner_id=partner_id,
    )
    accounts = bookings.of_programme(programme.programme_id, programme.currency)
    await post.open_accounts(conn, accounts, partner_id=partner_id)
    return programme


async def load_programme(conn: AsyncConnection, programme_id: UUID) -> Programme:
    """Return a programme the caller may see; raises NotFound."""
    row = (
        await conn.execute(
            select(tables.programme).where(tables.programme.c.programme_id == programme_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="programme", wanted=programme_id)
    return msgspec.convert(row._mapping, Programme)  # noqa: SLF001 -- public by its docs


async def enrol(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    household_id: UUID,
    enrolment_id: UUID,
    months: Span | None = None,
    vault: Vault,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Enrolment:
    """Enrol a household of the caller's partner, for `months` or until it is closed.

    Raises OpenCase, ConsentMissing, NoInstrument, IdentityErased, HouseholdEnded, AlreadyEnrolled,
    Overlap, OutsideProgramme, NotEligible, EligibilityUnknown, OverriddenByEnroller, NotFound.
    """
    programme = await load_programme(conn, programme_id)
    await _must_stand(conn, household_id)
    instrument_kind = await _payable_kind(conn, programme_id, household_id, vault)
    beneficiary_id = (await families(conn, [household_id]))[household_id]
    enrolment = Enrolment(
        enrolment_id=enrolment_id,
        programme_id=programme_id,
        household_id=household_id,
        beneficiary_id=beneficiary_id,
        enrolled_at=at,
        first_month=months.first if months else None,
        end_month=months.end if months else None,
    )
    row: dict[str, Any] = {
        **msgspec.structs.asdict(enrolment),
        "months": Range(months.first, months.end) if months else None,
        "assistance_group": programme.assistance_group,
        "instrument_kind": instrument_kind,
        "partner_id": partner_id,
        "enrolled_by": actor_id,
    }
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    standing = await must_be_eligible(
        conn, programme_id=programme_id, household_id=household_id, vault=vault, who=who
    )
    await _store(conn, row, standing, who=who, months=months)
    return enrolment


async def close(conn: AsyncConnection, *, enrolment_id: UUID, at: datetime) -> None:
    """End an enrolment for good, so that the family may be enrolled elsewhere; raises NotFound.

    Closing twice is refused as EnrolmentClosed.
    """
    row = tables.enrolment.c
    try:
        async with conn.begin_nested():
            closed = await conn.execute(
                update(tables.enrolment)
                .where(row.enrolment_id == enrolment_id)
                .values(closed_at=at)
            )
    except IntegrityError as error:
        if constraint_of(error) == "enrolment_closed":
            raise EnrolmentClosed(enrolment_id=enrolment_id) from error
        raise
    if closed.rowcount == 0:
        raise NotFound(what="enrolment", wanted=enrolment_id)


async def families(conn: AsyncConnection, household_ids: list[UUID]) -> dict[UUID, UUID]:
    """Return the family (beneficiary) each household belongs to today."""
    rows = await conn.execute(
        text("SELECT * FROM cbi.beneficiaries_of(:wanted ::uuid[])"), {"wanted": household_ids}
    )
    return {row.household_id: row.beneficiary_id for row in rows}


async def consents_missing(
    conn: AsyncConnection, household_ids: list[UUID]
) -> dict[UUID, list[str]]:
    """Return, per household, the kinds of consent that are needed to pay it and not in force."""
    rows = await fetch(conn, _CONSENTS_MISSING, household_ids, CONSENTS_NEEDED)
    missing: dict[UUID, list[str]] = {}
    for household_id, kind in rows:
        missing.setdefault(household_id, []).append(kind)
    return missing


async def _store(
    conn: AsyncConnection,
    row: Mapping[str, Any],
    standing: Standing | None,
    *,
    who: Who,
    months: Span | None,
) -> None:
    household_id = row["household_id"]
    kept = {key: row[key] for key in row.keys() & tables.enrolment.c.keys()}
    try:
        async with conn.begin_nested():
            if standing is not None:
                await stand_on(conn, standing, enrolment_id=row["enrolment_id"], who=who)
            await conn.execute(insert(tables.enrolment).values(kept))
    except IntegrityError as error:
        name = constraint_of(error) or ""
        if name in holds.OVERLAPS:
            group = row["assistance_group"]
            raise await holds.overlap(conn, household_id, group, months, at=who.at) from error
        if name in _REFUSED:
            raise _REFUSED[name](household_id=household_id) from error
        raise


async def _payable_kind(
    conn: AsyncConnection, programme_id: UUID, household_id: UUID, vault: Vault
) -> str:
    """Return what the household is paid by; raises unless the programme's file can pay it."""
    opened = await open_households(conn, [household_id], vault=vault, purpose="enrolment")
    if household_id not in opened:
        raise IdentityErased(household_id=household_id)
    instrument = opened[household_id].household.instrument
    profile = await load_profile(conn, programme_id)
    if instrument is None or not can_be_paid(opened[household_id], profile):
        raise NoInstrument(household_id=household_id)
    return instrument.kind


async def _must_stand(conn: AsyncConnection, household_id: UUID) -> None:
    """Raise unless the household is registered, agreed to it, and has no open case."""
    await holds.must_stand(conn, household_id)
    cases = await judge.open_case_ids(conn, [household_id])
    if cases.get(household_id):
        raise OpenCase(household_id=household_id, case_ids=cases[household_id])
    missing = await consents_missing(conn, [household_id])
    if missing.get(household_id):
        raise ConsentMissing(household_id=household_id, kinds=missing[household_id])
