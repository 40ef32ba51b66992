"""Calculate a round: who gets what, and who is left out and why. A page at a time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.basis import load_basis
from cbi.disburse import (
    CHUNK_MAX,
    FIRST,
    PAYMENTS_MAX,
    add_step,
    load_list,
    load_round,
    lock_round,
)
from cbi.disbursement import Progress, Round, Signed, Step
from cbi.enrol import Programme, load_programme
from cbi.entitlement import Entitlement, Payee, Why, compute
from cbi.holds import OVERLAPS
from cbi.payees import load_payees, look_up_by_id
from cbi.refusal import MonthsOverlap, NothingToPay, StepDone, TooManyPayees
from cbi.vault import Vault
from cbi.who import Who
from ledger.violation import constraint_of

# As many of those left out stand in the answer; the others are read page by page.
LEFT_OUT_MAX = 1_000
LAST = UUID(int=2**128 - 1)

_STORE = text("""
    INSERT INTO cbi.entitlement (entitlement_id, round_id, partner_id, enrolment_id, household_id,
        beneficiary_id, kind, assistance_group, months, household_size, value_version,
        amount_minor, currency, computed_at, paid_months)
    SELECT new.entitlement_id, :round_id, :partner_id, new.enrolment_id, new.household_id,
        new.beneficiary_id, new.kind, :assistance_group, daterange(:first_month, :end_month),
        new.household_size, new.value_version, new.amount_minor, :currency, :at, new.paid_months
    FROM unnest(:entitlement_ids ::uuid[], :enrolment_ids ::uuid[], :household_ids ::uuid[],
        :beneficiary_ids ::uuid[], :household_sizes ::smallint[], :amounts_minor ::bigint[],
        :value_versions ::integer[], :paid_months ::smallint[], :kinds ::text[])
        AS new(entitlement_id, enrolment_id, household_id, beneficiary_id, household_size,
            amount_minor, value_version, paid_months, kind)
    ORDER BY new.enrolment_id, new.kind""")

# Reasons are lists of different lengths, so they come as one text for each.
_LEAVE_OUT = text("""
    INSERT INTO cbi.left_out (round_id, enrolment_id, partner_id, household_id, reasons)
    SELECT :round_id, new.enrolment_id, :partner_id, new.household_id,
        string_to_array(new.reasons, ' ')
    FROM unnest(:enrolment_ids ::uuid[], :household_ids ::uuid[], :reasons ::text[])
        AS new(enrolment_id, household_id, reasons)
    ORDER BY new.enrolment_id""")

_BY_REASON = text("""
    SELECT reason, count(*) AS households FROM cbi.left_out, unnest(reasons) AS reason
    WHERE round_id = :round_id GROUP BY reason ORDER BY reason""")


class Calculated(msgspec.Struct, frozen=True, kw_only=True):
    """What a calculation gave; each household left out comes with its reasons.

    Of more than a thousand the first are told, and of all how many have each reason.
    """

    signed: Signed
    left_out: dict[str, tuple[Why, ...]]  # household id → reasons
    left_out_by_reason: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolled household that a round doesn't pay, and why."""

    enrolment_id: UUID
    household_id: UUID
    reasons: tuple[Why, ...]


class _Before(msgspec.Struct, frozen=True):
    """Where the page before ended."""

    page_no: int
    upto_enrolment: UUID
    expected: int
    done: int
    payments: int


class _Job(msgspec.Struct, frozen=True):
    opened: Round
    programme: Programme
    partner_id: UUID
    at: datetime


async def calculate(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    chunk_max: int = CHUNK_MAX,
    payments_max: int = PAYMENTS_MAX,
    left_out_max: int = LEFT_OUT_MAX,
    vault: Vault | None = None,
) -> Calculated | Progress:
    """Compute the entitlements of the next page of enrolments; with the last page, sign the list.

    Progress says that the round has more pages: call again in a transaction of its own. Nothing is
    paid of a round that is calculated in part. Raises NoTransferValue, InstalmentsUneven,
    TermsJustChanged, NothingToPay, MonthsOverlap, TooManyPayees, StepDone. Top-ups by age need
    the vault.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    await lock_round(conn, round_id)
    await _must_be_open(conn, round_id)
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    basis = await load_basis(conn, opened, programme, who=who)
    before = await _page_before(conn, opened, payments_max)
    await look_up_by_id(conn)
    payees = await load_payees(
        conn,
        opened,
        programme,
        basis,
        after=before.upto_enrolment,
        limit=chunk_max + 1,
        at=at,
        vault=vault,
    )
    is_last, payees = len(payees) <= chunk_max, payees[:chunk_max]
    entitlements = compute(payees, basis, round_id=round_id)
    if is_last and before.payments + len(entitlements) == 0:
        raise NothingToPay(round_id=round_id)
    job = _Job(opened, programme, partner_id, at)
    await _store(conn, job, payees, entitlements)
    page = _page(before, payees, entitlements, is_last=is_last)
    facts = {"round_id": round_id, "partner_id": partner_id, "actor_id": actor_id, "at": at}
    await conn.execute(insert(tables.calculation_page).values(**page, **facts))
    done = before.done + len(payees)
    if not is_last:
        pages = max(-(-before.expected // chunk_max), before.page_no + 2)
        return Progress(
            step=Step.CALCULATED.word,
            chunks_done=before.page_no + 1,
            chunks=pages,
            done=done,
            of=max(before.expected, done),
        )
    return await _end(conn, job, actor_id, left_out_max)


async def _end(conn: AsyncConnection, job: _Job, actor_id: UUID, left_out_max: int) -> Calculated:
    """Sign the list that the pages have made."""
    round_id = job.opened.round_id
    listed = await load_list(conn, round_id, job.programme.currency)
    if not listed.payments:
        raise NothingToPay(round_id=round_id)
    facts = {"partner_id": job.partner_id, "actor_id": actor_id}
    signed = await add_step(conn, round_id, Step.CALCULATED, listed, **facts, at=job.at)
    return await _answer(conn, round_id, signed, left_out_max)


async def load_left_out(
    conn: AsyncConnection, round_id: UUID, *, after: UUID | None = None, limit: int
) -> list[LeftOut]:
    """Load who was left out of a round, ordered by enrolment."""
    row = tables.left_out.c
    rows = await conn.execute(
        select(row.enrolment_id, row.household_id, row.reasons)
        .where(row.round_id == round_id, row.enrolment_id > (after or FIRST))
        .order_by(row.enrolment_id)
        .limit(limit)
    )
    return [msgspec.convert(row._mapping, LeftOut) for row in rows]  # noqa: SLF001 -- public by its docs


async def _must_be_open(conn: AsyncConnection, round_id: UUID) -> None:
    step = tables.round_step.c
    if (
        await conn.execute(select(step.step).where(step.round_id == round_id).limit(1))
    ).one_or_none() is not None:
        raise StepDone(round_id=round_id, step=Step.CALCULATED.word)


async def _page_before(conn: AsyncConnection, opened: Round, payments_max: int) -> _Before:
    page, enrolment = tables.calculation_page.c, tables.enrolment.c
    rows = (
        await conn.execute(
            select(
                page.page_no,
                page.upto_enrolment,
                page.expected,
                page.payments,
                page.left_out,
                page.top_ups,
            )
            .where(page.round_id == opened.round_id)
            .order_by(page.page_no)
        )
    ).all()
    if not rows:
        expected = await conn.scalar(
            select(func.count()).where(
                enrolment.programme_id == opened.programme_id, enrolment.closed_at.is_(None)
            )
        )
        last = _Before(0, FIRST, expected or 0, 0, 0)
    else:
        payments = sum(row.payments for row in rows)
        done = payments + sum(row.left_out - row.top_ups for row in rows)
        end = rows[-1]
        last = _Before(end.page_no, end.upto_enrolment, end.expected, done, payments)
    # Who is enrolled while the round is calculated comes in; the limit holds all the same.
    payees = max(last.expected, last.done, last.payments)
    if payees > payments_max:
        raise TooManyPayees(round_id=opened.round_id, payees=payees, payees_max=payments_max)
    return last


def _page(
    before: _Before, payees: Sequence[Payee], entitlements: Sequence[Entitlement], *, is_last: bool
) -> dict[str, object]:
    top_ups = sum(each.kind == "top_up" for each in entitlements)
    return {
        "page_no": before.page_no + 1,
        # Whoever stood on the last page may have left since.
        "upto_enrolment": payees[-1].enrolment_id if payees else LAST,
        "payments": len(entitlements),
        "amount_minor": sum(each.money.amount_minor for each in entitlements),
        "left_out": len(payees) - len(entitlements) + top_ups,
        "is_last": is_last,
        "expected": before.expected,
        "top_ups": top_ups,
    }


async def _store(
    conn: AsyncConnection,
    job: _Job,
    payees: Sequence[Payee],
    entitlements: Sequence[Entitlement],
) -> None:
    """Store what the payees of a page are entitled to, and who of them is left out."""
    round_id = job.opened.round_id
    facts: dict[str, object] = {"round_id": round_id, "partner_id": job.partner_id}
    left_out = [payee for payee in payees if payee.blocked]
    if left_out:
        rows = {
            "enrolment_ids": [payee.enrolment_id for payee in left_out],
            "household_ids": [payee.household_id for payee in left_out],
            "reasons": [" ".join(payee.blocked) for payee in left_out],
        }
        await conn.execute(_LEAVE_OUT, facts | rows)
    if entitlements:
        facts |= {
            "assistance_group": job.programme.assistance_group,
            "first_month": job.opened.first_month,
            "end_month": job.opened.end_month,
            "currency": job.programme.currency,
            "at": job.at,
        }
        await _insert(conn, round_id, facts | _columns(entitlements))


def _columns(entitlements: Sequence[Entitlement]) -> dict[str, object]:
    return {
        "entitlement_ids": [each.entitlement_id for each in entitlements],
        "enrolment_ids": [each.enrolment_id for each in entitlements],
        "household_ids": [each.household_id for each in entitlements],
        "beneficiary_ids": [each.beneficiary_id for each in entitlements],
        "household_sizes": [each.household_size for each in entitlements],
        "amounts_minor": [each.money.amount_minor for each in entitlements],
        "value_versions": [each.value_version for each in entitlements],
        "paid_months": [each.paid_months for each in entitlements],
        "kinds": [each.kind for each in entitlements],
    }


async def _insert(conn: AsyncConnection, round_id: UUID, facts: dict[str, object]) -> None:
    try:
        async with conn.begin_nested():
            await conn.execute(_STORE, facts)
    except IntegrityError as error:
        match constraint_of(error):
            case "entitlement_pkey" | "entitlement_once" | "entitlement_before_signatures":
                raise StepDone(round_id=round_id, step=Step.CALCULATED.word) from error
            case "entitlement_no_overlap" | "entitlement_no_overlap_of_household":
                raise MonthsOverlap(round_id=round_id) from error
            # Promised to somebody meanwhile: months before an enrolment's own are held as well.
            case name if name in OVERLAPS:
                raise MonthsOverlap(round_id=round_id) from error
        raise


async def _answer(
    conn: AsyncConnection, round_id: UUID, signed: Signed, left_out_max: int
) -> Calculated:
    left_out = await load_left_out(conn, round_id, limit=left_out_max + 1)
    by_reason: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    if len(left_out) > left_out_max:
        counted = await conn.execute(_BY_REASON, {"round_id": round_id})
        by_reason = {row.reason: row.households for row in counted}
    return Calculated(
        signed=signed,
        left_out={str(one.household_id): one.reasons for one in left_out[:left_out_max]},
        left_out_by_reason=by_reason,
    )
