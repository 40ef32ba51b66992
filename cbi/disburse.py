"""Rounds of disbursement: open, calculate, sign, release. The outcome is `settle.py`'s."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, payout, tables
from cbi.cancel import no_own_cancellation
from cbi.disbursement import Round, Step, end_to_end_id
from cbi.enrol import Programme, load_programme, load_values
from cbi.entitlement import (
    Entitlement,
    Why,
    compute,
    in_force,
    list_digest,
    months_between,
)
from cbi.payees import load_payees, payees_of
from cbi.refusal import (
    MonthsOverlap,
    NotFound,
    NothingToPay,
    NoTransferValue,
    PayeesBlocked,
    SamePerson,
    StepDone,
    StepOutOfOrder,
    TooManyPayees,
)
from cbi.vault import Vault
from ledger import post
from ledger.attempt import Attempt
from ledger.attempts import open_attempts
from ledger.money import Money
from ledger.refusal import InsufficientFunds
from ledger.violation import constraint_of

# With the transfer that funds the round, one batch of the ledger.
PAYMENTS_MAX = 9_999


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a round: who did it, when, and the payment list as it stood."""

    step: str
    actor_id: UUID
    at: datetime
    payments: int
    total: Money
    list_digest: str  # SHA-256, hexadecimal


class Calculated(msgspec.Struct, frozen=True, kw_only=True):
    """What a calculation gave; each household left out comes with its reasons."""

    signed: Signed
    left_out: dict[str, tuple[Why, ...]]  # household id → reasons


async def open_round(
    conn: AsyncConnection, opened: Round, *, partner_id: UUID, actor_id: UUID, at: datetime
) -> Round:
    """Open a round and its control accounts; raises NotFound for a foreign programme."""
    programme = await load_programme(conn, opened.programme_id)
    months_between(opened.first_month, opened.end_month)
    await conn.execute(
        insert(tables.round_).values(
            round_id=opened.round_id,
            programme_id=opened.programme_id,
            partner_id=partner_id,
            name=opened.name,
            months=Range(opened.first_month, opened.end_month),
            pays_on=opened.pays_on,
            opened_at=at,
            opened_by=actor_id,
        )
    )
    accounts = bookings.of_round(opened.round_id, programme.currency)
    await post.open_accounts(conn, accounts, partner_id=partner_id)
    return opened


async def load_round(conn: AsyncConnection, round_id: UUID) -> Round:
    """Return a round the caller may see; raises NotFound."""
    row = (
        await conn.execute(select(tables.round_).where(tables.round_.c.round_id == round_id))
    ).one_or_none()
    if row is None:
        raise NotFound(what="round", wanted=round_id)
    return as_round(row)


def as_round(row: object) -> Round:
    """Make a Round of a row of cbi.round."""
    fields = row._mapping  # type: ignore[attr-defined]  # noqa: SLF001 -- public by its docs
    return Round(
        round_id=fields["round_id"],
        programme_id=fields["programme_id"],
        name=fields["name"],
        first_month=fields["months"].lower,
        end_month=fields["months"].upper,
        pays_on=fields["pays_on"],
    )


async def calculate(
    conn: AsyncConnection, *, round_id: UUID, partner_id: UUID, actor_id: UUID, at: datetime
) -> Calculated:
    """Compute and store the entitlements of everybody who can be paid now.

    Raises NoTransferValue, NothingToPay, MonthsOverlap, StepDone.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    table = in_force(await load_values(conn, programme), opened.pays_on)
    if table is None:
        raise NoTransferValue(programme_id=programme.programme_id, on=opened.pays_on)
    payees = await load_payees(conn, opened, programme)
    if len(payees) > PAYMENTS_MAX:
        raise TooManyPayees(round_id=round_id, payees=len(payees), payees_max=PAYMENTS_MAX)
    entitlements = compute(
        payees,
        table,
        round_id=round_id,
        months=months_between(opened.first_month, opened.end_month),
    )
    if not entitlements:
        raise NothingToPay(round_id=round_id)
    await _store(conn, opened, programme, entitlements, partner_id=partner_id, at=at)
    signed = await _sign(
        conn, round_id, Step.CALCULATED, partner_id=partner_id, actor_id=actor_id, at=at
    )
    paid = {entitlement.enrolment_id for entitlement in entitlements}
    left_out = {
        str(payee.household_id): payee.blocked for payee in payees if payee.enrolment_id not in paid
    }
    return Calculated(signed=signed, left_out=left_out)


async def sign(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    step: Step,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Signed:
    """Prepare, review or approve a round; approving checks every payee and the funds again.

    Raises StepDone, StepOutOfOrder, SamePerson, PayeesBlocked and ledger's InsufficientFunds.
    """
    assert step in (Step.PREPARED, Step.REVIEWED, Step.APPROVED)
    opened = await load_round(conn, round_id)
    if step is Step.APPROVED:
        await _gate(conn, opened)
    return await _sign(conn, round_id, step, partner_id=partner_id, actor_id=actor_id, at=at)


async def release(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    vault: Vault,
) -> Signed:
    """Release a round: sign, book, open the first attempts, and keep the payment file.

    One transaction: it happens whole or not at all, and a second release is refused by the key
    of the signature.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    signed = await _sign(
        conn, round_id, Step.RELEASED, partner_id=partner_id, actor_id=actor_id, at=at
    )
    await no_own_cancellation(conn, round_id, actor_id)
    await _gate(conn, opened)
    entitlements = await load_entitlements(conn, round_id)
    attempts = [
        Attempt(
            payment_id=entitlement.entitlement_id,
            attempt_no=1,
            end_to_end_id=end_to_end_id(entitlement.entitlement_id, 1),
            money=entitlement.money,
        )
        for entitlement in entitlements
    ]
    await open_attempts(conn, attempts, partner_id=partner_id, at=at)
    transfers = bookings.released(
        programme.programme_id, round_id, attempts, currency=programme.currency, on=opened.pays_on
    )
    await post.post(conn, transfers, partner_id=partner_id, at=at, actor_id=actor_id)
    await payout.write_file(
        conn,
        opened,
        programme,
        attempts,
        entitlements,
        vault=vault,
        partner_id=partner_id,
        at=at,
    )
    return signed


async def load_entitlements(
    conn: AsyncConnection, round_id: UUID, *, after: UUID | None = None, limit: int = PAYMENTS_MAX
) -> list[Entitlement]:
    """Load the round's entitlements that are not cancelled, ordered by id."""
    row = tables.entitlement.c
    query = select(tables.entitlement).where(row.round_id == round_id, row.cancelled_at.is_(None))
    if after is not None:
        query = query.where(row.entitlement_id > after)
    rows = await conn.execute(query.order_by(row.entitlement_id).limit(limit))
    return [
        Entitlement(
            entitlement_id=row.entitlement_id,
            enrolment_id=row.enrolment_id,
            household_id=row.household_id,
            beneficiary_id=row.beneficiary_id,
            household_size=row.household_size,
            value_version=row.value_version,
            money=Money(amount_minor=row.amount_minor, currency=row.currency),
        )
        for row in rows
    ]


async def load_steps(conn: AsyncConnection, round_id: UUID, currency: str) -> list[Signed]:
    """Load the steps taken so far, in order."""
    step = tables.round_step.c
    rows = await conn.execute(
        select(tables.round_step).where(step.round_id == round_id).order_by(step.step)
    )
    return [
        Signed(
            step=Step(row.step).word,
            actor_id=row.actor_id,
            at=row.at,
            payments=row.payments,
            total=Money(amount_minor=row.amount_minor, currency=currency),
            list_digest=row.list_digest.hex(),
        )
        for row in rows
    ]


async def _gate(conn: AsyncConnection, opened: Round) -> None:
    """Refuse unless every payee can be paid now and the programme's fund covers the round."""
    programme = await load_programme(conn, opened.programme_id)
    entitlements = await load_entitlements(conn, opened.round_id)
    if not entitlements:
        raise NothingToPay(round_id=opened.round_id)
    payees = await payees_of(conn, opened, programme, entitlements)
    blocked = {payee.household_id: payee.blocked for payee in payees if payee.blocked}
    if blocked:
        raise PayeesBlocked(round_id=opened.round_id, blocked=blocked)
    fund = bookings.fund(programme.programme_id, programme.currency)
    available_minor = (await post.balances(conn, [fund]))[fund.account_id]
    wanted_minor = sum(entitlement.money.amount_minor for entitlement in entitlements)
    if available_minor < wanted_minor:
        raise InsufficientFunds(
            account_code=fund.code,
            currency=fund.currency,
            available_minor=available_minor,
            wanted_minor=wanted_minor,
        )


async def _store(
    conn: AsyncConnection,
    opened: Round,
    programme: Programme,
    entitlements: list[Entitlement],
    *,
    partner_id: UUID,
    at: datetime,
) -> None:
    rows = [
        {
            "entitlement_id": entitlement.entitlement_id,
            "round_id": opened.round_id,
            "partner_id": partner_id,
            "enrolment_id": entitlement.enrolment_id,
            "household_id": entitlement.household_id,
            "beneficiary_id": entitlement.beneficiary_id,
            "kind": "instalment",
            "assistance_group": programme.assistance_group,
            "months": Range(opened.first_month, opened.end_month),
            "household_size": entitlement.household_size,
            "value_version": entitlement.value_version,
            "amount_minor": entitlement.money.amount_minor,
            "currency": entitlement.money.currency,
            "computed_at": at,
        }
        for entitlement in entitlements
    ]
    try:
        async with conn.begin_nested():
            await conn.execute(insert(tables.entitlement), rows)
    except IntegrityError as error:
        match constraint_of(error):
            case "entitlement_pkey" | "entitlement_once" | "entitlement_before_signatures":
                raise StepDone(round_id=opened.round_id, step="calculated") from error
            case "entitlement_no_overlap" | "entitlement_no_overlap_of_household":
                raise MonthsOverlap(round_id=opened.round_id) from error
        raise


async def _sign(
    conn: AsyncConnection,
    round_id: UUID,
    step: Step,
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Signed:
    # From here to the commit nobody else signs this round or takes a family off its list.
    await conn.execute(text("SELECT cbi.lock_round(:round_id)"), {"round_id": round_id})
    entitlements = await load_entitlements(conn, round_id)
    if not entitlements:
        raise NothingToPay(round_id=round_id)
    total_minor = sum(entitlement.money.amount_minor for entitlement in entitlements)
    digest = list_digest([(each.entitlement_id, each.money.amount_minor) for each in entitlements])
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(tables.round_step).values(
                    round_id=round_id,
                    step=int(step),
                    partner_id=partner_id,
                    actor_id=actor_id,
                    at=at,
                    payments=len(entitlements),
                    amount_minor=total_minor,
                    list_digest=digest,
                )
            )
            # The order is a foreign key; told now, not at the end of the transaction.
            await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    except IntegrityError as error:
        match constraint_of(error):
            case "round_step_once":
                raise StepDone(round_id=round_id, step=step.word) from error
            case "round_step_in_order":
                raise StepOutOfOrder(round_id=round_id, step=step.word) from error
            case "round_step_four_people":
                raise SamePerson(round_id=round_id, step=step.word) from error
        raise
    currency = entitlements[0].money.currency
    return Signed(
        step=step.word,
        actor_id=actor_id,
        at=at,
        payments=len(entitlements),
        total=Money(amount_minor=total_minor, currency=currency),
        list_digest=digest.hex(),
    )
