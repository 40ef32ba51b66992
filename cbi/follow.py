"""Follow-ups of a round: open, load, sign. `reissue.py` pays them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, failed, tables
from cbi.disburse import CHECK_HOURS_MAX, load_round, load_steps, lock_round
from cbi.disbursement import PaymentList, Round, Signed, Step
from cbi.enrol import Programme, load_programme
from cbi.followup import PAYMENTS_MAX, Again, Followup, LeftOut, Reason
from cbi.payees import look_up_by_id
from cbi.refusal import (
    BadValue,
    FollowupSuperseded,
    MoneyGivenBack,
    NotFound,
    NothingToReissue,
    NotReleased,
    PayeesBlocked,
    StepDone,
)
from cbi.signing import load_steps_of, put_step
from cbi.who import Who
from cbi.wind_up import given_back
from ledger import post
from ledger.money import Money
from ledger.refusal import InsufficientFunds
from ledger.violation import constraint_of

# As many are named in one refusal.
NAMED_MAX = 1_000
DAYS_MAX = timedelta(days=731)


class FollowupList(msgspec.Struct, frozen=True, kw_only=True):
    """A follow-up with its list, its signatures, and who was left out of it.

    `is_newest` is false when a later one took its place; only the newest can be signed.
    """

    followup: Followup
    is_newest: bool
    payments: int
    total: Money
    steps: tuple[Signed, ...]
    listed: tuple[Again, ...]
    left_out: tuple[LeftOut, ...]


async def open_followup(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    followup_id: UUID,
    pays_on: date,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    payments_max: int = PAYMENTS_MAX,
) -> FollowupList:
    """List every failed payment of a released round whose family can be paid now.

    It takes the place of one that was opened before and not released. Raises NotReleased,
    NothingToReissue with all who were left out, BadValue for a day far from the round's, NotFound.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    await lock_round(conn, round_id)
    await _must_be_released(conn, opened, programme)
    if not timedelta(0) <= pays_on - opened.pays_on <= DAYS_MAX:
        raise BadValue(field="pays_on", reason="within two years after the round's day of payment")
    listed, left_out, waiting = await failed.list_failed(conn, opened, programme, payments_max)
    if not listed:
        named = {each.payment_id: each.reasons for each in left_out[:NAMED_MAX]}
        raise NothingToReissue(round_id=round_id, left_out=named)
    before = await conn.scalar(
        select(func.count()).where(tables.followup.c.round_id == round_id),
    )
    followup = Followup(
        followup_id=followup_id,
        round_id=round_id,
        followup_no=(before or 0) + 1,
        pays_on=pays_on,
        waiting=waiting,
        opened_by=actor_id,
        opened_at=at,
    )
    await conn.execute(
        insert(tables.followup).values(partner_id=partner_id, **msgspec.structs.asdict(followup))
    )
    await _keep(conn, followup, listed, left_out, partner_id=partner_id)
    await add_step(
        conn, followup, Step.CALCULATED, programme, partner_id=partner_id, actor_id=actor_id, at=at
    )
    return await load_list(conn, followup_id)


async def load_followup(conn: AsyncConnection, followup_id: UUID) -> Followup:
    """Return a follow-up the caller may see; raises NotFound."""
    row = (
        await conn.execute(
            select(tables.followup).where(tables.followup.c.followup_id == followup_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(what="follow-up", wanted=followup_id)
    return as_followup(row)


def as_followup(row: object) -> Followup:
    """Make a Followup of a row of cbi.followup."""
    return msgspec.convert(row._mapping, Followup)  # type: ignore[attr-defined]  # noqa: SLF001 -- public by its docs


async def load_list(conn: AsyncConnection, followup_id: UUID) -> FollowupList:
    """Load a follow-up with its list by payment, its steps in order; raises NotFound."""
    followup = await load_followup(conn, followup_id)
    programme = await programme_of(conn, followup)
    summed = await load_sums(conn, followup_id, programme.currency)
    left = tables.followup_left_out
    rows = await conn.execute(
        select(left.c.payment_id, left.c.household_id, left.c.reasons)
        .where(left.c.followup_id == followup_id)
        .order_by(left.c.payment_id)
        .limit(failed.LOOKED_AT_MAX)
    )
    return FollowupList(
        followup=followup,
        is_newest=await newest_of(conn, followup.round_id) == followup_id,
        payments=summed.payments,
        total=summed.total,
        steps=tuple(await load_followup_steps(conn, followup_id, programme.currency)),
        listed=tuple(await load_listed(conn, followup_id, programme.currency)),
        left_out=tuple(
            msgspec.convert(row._mapping, LeftOut)  # noqa: SLF001 -- public by its docs
            for row in rows
        ),
    )


async def load_listed(conn: AsyncConnection, followup_id: UUID, currency: str) -> list[Again]:
    """Load who is paid by a follow-up, ordered by payment."""
    payment = tables.followup_payment
    rows = await conn.execute(
        select(payment)
        .where(payment.c.followup_id == followup_id)
        .order_by(payment.c.payment_id)
        .limit(PAYMENTS_MAX)
    )
    return [
        Again(
            payment_id=row.payment_id,
            household_id=row.household_id,
            attempt_no=row.attempt_no,
            after="returned" if row.after_return else "void",
            money=Money(amount_minor=row.amount_minor, currency=currency),
        )
        for row in rows
    ]


async def load_sums(conn: AsyncConnection, followup_id: UUID, currency: str) -> PaymentList:
    """Count, add up and digest a follow-up's payments, as the database sees them."""
    row = (
        await conn.execute(text("SELECT * FROM cbi.followup_list(:id)"), {"id": followup_id})
    ).one()
    return PaymentList(
        payments=row.payments,
        total=Money(amount_minor=row.amount_minor, currency=currency),
        list_digest=row.list_digest,
    )


async def load_followup_steps(
    conn: AsyncConnection, followup_id: UUID, currency: str
) -> list[Signed]:
    """Load the steps taken so far, in order."""
    owner = {"followup_id": followup_id}
    return await load_steps_of(conn, tables.followup_step, owner, currency)


async def programme_of(conn: AsyncConnection, followup: Followup) -> Programme:
    opened = await load_round(conn, followup.round_id)
    return await load_programme(conn, opened.programme_id)


async def sign_followup(
    conn: AsyncConnection,
    *,
    followup_id: UUID,
    step: Step,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    check_hours_max: int = CHECK_HOURS_MAX,
) -> Signed:
    """Prepare, review or approve a follow-up; approving checks every payee and the money again.

    It is approved within so many hours of its duplicate check (`cbi/check_followup.py`). Raises
    StepDone, StepOutOfOrder, SamePerson, CheckStale, FollowupSuperseded, PayeesBlocked,
    MoneyGivenBack and ledger's InsufficientFunds.
    """
    assert step in (Step.PREPARED, Step.REVIEWED, Step.APPROVED)
    followup = await load_followup(conn, followup_id)
    programme = await programme_of(conn, followup)
    await lock_round(conn, followup.round_id)
    if step is Step.APPROVED:
        await gate(conn, followup, programme)
        await conn.execute(
            select(func.set_config("app.check_hours_max", str(check_hours_max), True))
        )
    return await add_step(
        conn, followup, step, programme, partner_id=partner_id, actor_id=actor_id, at=at
    )


async def gate(conn: AsyncConnection, followup: Followup, programme: Programme) -> None:
    """Refuse unless every payee can be paid again now, and the round has the money for it."""
    await must_be_newest(conn, followup)
    opened = await load_round(conn, followup.round_id)
    await look_up_by_id(conn)
    listed = await load_listed(conn, followup.followup_id, programme.currency)
    payment_ids = [each.payment_id for each in listed]
    now_failed = {
        each.entitlement.entitlement_id: each
        for each in await failed.failed_of(conn, opened.round_id, payment_ids)
    }
    blocked = await failed.blocked_by_payment(conn, opened, programme, list(now_failed.values()))
    wrong: dict[UUID, Sequence[Reason]] = {}
    for one in listed:
        now = now_failed.get(one.payment_id)
        if now is None or now.again() != one:
            # Tried again since: by this very follow-up, for it is the newest.
            raise StepDone(round_id=followup.round_id, step=Step.RELEASED.word)
        if reasons := (*now.own_reasons(), *blocked.get(one.payment_id, ())):
            wrong[one.household_id] = reasons
    if wrong:
        named = dict(list(wrong.items())[:NAMED_MAX])
        raise PayeesBlocked(round_id=followup.round_id, blocked=named)
    summed = await load_sums(conn, followup.followup_id, programme.currency)
    await _must_be_there(conn, followup.round_id, summed.total)


async def add_step(
    conn: AsyncConnection,
    followup: Followup,
    step: Step,
    programme: Programme,
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Signed:
    """Sign the list as it stands, which the database compares; raises as `sign_followup` does."""
    followup_id, round_id = followup.followup_id, followup.round_id
    listed = await load_sums(conn, followup_id, programme.currency)
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    owner = {"followup_id": followup_id, "round_id": round_id}
    try:
        return await put_step(
            conn, tables.followup_step, owner, step, listed, round_id=round_id, who=who
        )
    except IntegrityError as error:
        if constraint_of(error) == "followup_step_of_newest":
            newest = await newest_of(conn, round_id)
            raise FollowupSuperseded(followup_id=followup_id, newest=newest) from error
        raise


async def newest_of(conn: AsyncConnection, round_id: UUID) -> UUID:
    """Return the follow-up of a round that was opened last."""
    row = tables.followup.c
    found = await conn.execute(
        select(row.followup_id)
        .where(row.round_id == round_id)
        .order_by(row.followup_no.desc())
        .limit(1)
    )
    newest: UUID = found.scalar_one()
    return newest


async def must_be_newest(conn: AsyncConnection, followup: Followup) -> None:
    """Raise FollowupSuperseded when another was opened since."""
    newest = await newest_of(conn, followup.round_id)
    if newest != followup.followup_id:
        raise FollowupSuperseded(followup_id=followup.followup_id, newest=newest)


async def _keep(
    conn: AsyncConnection,
    followup: Followup,
    listed: Sequence[Again],
    left_out: Sequence[LeftOut],
    *,
    partner_id: UUID,
) -> None:
    of_followup = {
        "followup_id": followup.followup_id,
        "round_id": followup.round_id,
        "partner_id": partner_id,
    }
    await conn.execute(
        insert(tables.followup_payment),
        [
            {
                **of_followup,
                "payment_id": each.payment_id,
                "household_id": each.household_id,
                "attempt_no": each.attempt_no,
                "after_return": each.after == "returned",
                "amount_minor": each.money.amount_minor,
            }
            for each in listed
        ],
    )
    if left_out:
        await conn.execute(
            insert(tables.followup_left_out),
            [of_followup | {**msgspec.structs.asdict(each)} for each in left_out],
        )


async def _must_be_there(conn: AsyncConnection, round_id: UUID, wanted: Money) -> None:
    """Refuse unless what came back to the round is still the round's."""
    account = bookings.available(round_id, wanted.currency)
    available_minor = (await post.balances(conn, [account]))[account.account_id]
    if available_minor >= wanted.amount_minor:
        return
    back_minor = await given_back(conn, account)
    if back_minor:
        raise MoneyGivenBack(
            round_id=round_id,
            available_minor=available_minor,
            wanted_minor=wanted.amount_minor,
            given_back_minor=back_minor,
        )
    raise InsufficientFunds(
        account_code=account.code,
        currency=wanted.currency,
        available_minor=available_minor,
        wanted_minor=wanted.amount_minor,
    )


async def _must_be_released(conn: AsyncConnection, opened: Round, programme: Programme) -> None:
    steps = await load_steps(conn, opened.round_id, programme.currency)
    if not steps or steps[-1].step != Step.RELEASED.word:
        raise NotReleased(round_id=opened.round_id)
