"""Rounds of disbursement: open, load, sign. `calculate.py` makes the list, `release.py` pays it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings, tables
from cbi.disbursement import PaymentList, Round, Signed, Step
from cbi.enrol import Programme, load_programme
from cbi.entitlement import Entitlement, Why, months_between
from cbi.payees import blocked_of, look_up_by_id
from cbi.refusal import (
    NotFound,
    NothingToPay,
    PayeesBlocked,
)
from cbi.signing import load_steps_of, put_step
from cbi.term_refusal import InstalmentsUneven, MonthsOutside
from cbi.who import Who
from dedup.driver import fetch
from ledger import post
from ledger.money import Money
from ledger.refusal import InsufficientFunds
from ledger.violation import constraint_of

PAYMENTS_MAX = 2_000_000
# Payments or enrolments that are worked on at once: one batch of the ledger.
CHUNK_MAX = 10_000
# As many blocked families are named at once; whoever has more calculates a new round.
BLOCKED_MAX = 1_000
# So long a duplicate check of a list counts, unless the operator says otherwise.
CHECK_HOURS_MAX = 24
FIRST = UUID(int=0)

_ENTITLEMENTS = """
    SELECT e.entitlement_id, e.enrolment_id, e.household_id, e.beneficiary_id, e.household_size,
        e.value_version, e.amount_minor, e.currency, e.kind
    FROM cbi.entitlement AS e
    WHERE e.round_id = $1 AND e.cancelled_at IS NULL AND e.entitlement_id > $2
    ORDER BY e.entitlement_id LIMIT $3"""


async def open_round(
    conn: AsyncConnection, opened: Round, *, partner_id: UUID, actor_id: UUID, at: datetime
) -> Round:
    """Open a round and its control accounts.

    Raises NotFound for a foreign programme, MonthsOutside, InstalmentsUneven.
    """
    programme = await load_programme(conn, opened.programme_id)
    months_between(opened.first_month, opened.end_month)
    try:
        async with conn.begin_nested():
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
    except IntegrityError as error:
        match constraint_of(error):
            case "round_within_programme":
                raise MonthsOutside(
                    programme_id=opened.programme_id,
                    first_month=opened.first_month,
                    end_month=opened.end_month,
                ) from error
            case "round_of_whole_instalments":
                raise InstalmentsUneven(programme_id=opened.programme_id) from error
        raise
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


async def sign(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    step: Step,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    chunk_max: int = CHUNK_MAX,
    check_hours_max: int = CHECK_HOURS_MAX,
) -> Signed:
    """Prepare, review or approve a round; approving checks every payee and the funds again.

    A list is approved within so many hours of its duplicate check (`cbi.recheck`). Raises StepDone,
    StepOutOfOrder, SamePerson, CheckStale, PayeesBlocked and ledger's InsufficientFunds.
    """
    assert step in (Step.PREPARED, Step.REVIEWED, Step.APPROVED)
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    if step is Step.APPROVED:
        await _gate(conn, opened, programme, chunk_max)
    await lock_round(conn, round_id)
    listed = await load_list(conn, round_id, programme.currency)
    if not listed.payments:
        raise NothingToPay(round_id=round_id)
    if step is Step.APPROVED:
        await must_be_covered(conn, programme, listed.total)
        await conn.execute(
            select(func.set_config("app.check_hours_max", str(check_hours_max), True))
        )
    return await add_step(
        conn, round_id, step, listed, partner_id=partner_id, actor_id=actor_id, at=at
    )


async def lock_round(conn: AsyncConnection, round_id: UUID) -> None:
    """Let nobody else sign this round or change its list until the transaction ends."""
    await conn.execute(text("SELECT cbi.lock_round(:round_id)"), {"round_id": round_id})


async def load_list(conn: AsyncConnection, round_id: UUID, currency: str) -> PaymentList:
    """Count, add up and digest the round's payments; the database does, for they may be many."""
    found = await conn.execute(text("SELECT * FROM cbi.list_of(:round_id)"), {"round_id": round_id})
    row = found.one()
    return PaymentList(
        payments=row.payments,
        total=Money(amount_minor=row.amount_minor, currency=currency),
        list_digest=row.list_digest,
    )


async def load_entitlements(
    conn: AsyncConnection, round_id: UUID, *, after: UUID | None = None, limit: int = PAYMENTS_MAX
) -> list[Entitlement]:
    """Load the round's entitlements that are not cancelled, ordered by id."""
    rows = await fetch(conn, _ENTITLEMENTS, round_id, after or FIRST, limit)
    return [
        Entitlement(
            entitlement_id=row[0],
            enrolment_id=row[1],
            household_id=row[2],
            beneficiary_id=row[3],
            household_size=row[4],
            value_version=row[5],
            money=Money(amount_minor=row[6], currency=row[7]),
            kind=row[8],
        )
        for row in rows
    ]


async def load_steps(conn: AsyncConnection, round_id: UUID, currency: str) -> list[Signed]:
    """Load the steps taken so far, in order."""
    owner = {"round_id": round_id}
    return await load_steps_of(conn, tables.round_step, owner, currency)


async def must_be_covered(conn: AsyncConnection, programme: Programme, wanted: Money) -> None:
    """Raise InsufficientFunds unless the programme's fund holds so much."""
    fund = bookings.fund(programme.programme_id, programme.currency)
    available_minor = (await post.balances(conn, [fund]))[fund.account_id]
    if available_minor < wanted.amount_minor:
        raise InsufficientFunds(
            account_code=fund.code,
            currency=fund.currency,
            available_minor=available_minor,
            wanted_minor=wanted.amount_minor,
        )


async def add_step(
    conn: AsyncConnection,
    round_id: UUID,
    step: Step,
    listed: PaymentList,
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> Signed:
    """Sign the list as it stands, which the database compares; raises as `sign` does."""
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    owner = {"round_id": round_id}
    return await put_step(conn, tables.round_step, owner, step, listed, round_id=round_id, who=who)


async def _gate(conn: AsyncConnection, opened: Round, programme: Programme, chunk_max: int) -> None:
    """Refuse unless every payee can be paid now; the first so many are named, with why."""
    await look_up_by_id(conn)
    blocked: dict[UUID, tuple[Why, ...]] = {}
    after = FIRST
    while len(blocked) < BLOCKED_MAX:
        page = await load_entitlements(conn, opened.round_id, after=after, limit=chunk_max)
        if not page:
            break
        blocked |= await blocked_of(conn, opened, programme, page)
        after = page[-1].entitlement_id
    if blocked:
        raise PayeesBlocked(round_id=opened.round_id, blocked=blocked)
