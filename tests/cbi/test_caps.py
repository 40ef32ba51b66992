"""A payment above its instrument's cap is left out, and stopped at the gate."""

import asyncio
from datetime import date

import pytest
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import caps, disburse
from cbi.basis import load_kept
from cbi.cap import Cap, Limits, Uit, limits_in_force
from cbi.disbursement import Progress, Step
from cbi.refusal import NotFound, PayeesBlocked
from cbi.term_refusal import ApprovedByAuthor, NoUit, TermApproved
from tests.cbi.agreed import agreed, basis_by_hand, who_of
from tests.cbi.world import (
    ALFA,
    PAYS_ON,
    a_round,
    calculated,
    calculated_once,
    enrolled_families,
    opened,
    programme_of,
    released,
    signed,
    staff,
)
from tests.conftest import PARTNER_B

COORDINATION = staff(20, roles={"coordinator"})
# Of another organisation: caps are everybody's.
SECOND = staff(21, PARTNER_B, {"coordinator"})
LONG_AGO = date(2026, 1, 1)


def cap(**more) -> Cap:
    facts = {
        "cap_no": 0,
        "instrument_kind": "bank_account",
        "currency": "PEN",
        "effective_from": LONG_AGO,
        "unit": "minor",
        "per_transaction": None,
        "per_month": None,
        "balance": None,
        "source": "an example, nobody's law",
        "is_example": True,
    }
    return Cap(**(facts | more))


def uit(**more) -> Uit:
    facts = {"uit_no": 1, "effective_from": LONG_AGO, "amount_minor": 500_000}
    return Uit(**(facts | {"source": "an example", "is_example": True} | more))


async def entered(conn, who=COORDINATION, **more) -> Cap:
    await db.set_facts(conn, who)
    return await caps.add_cap(conn, cap(**more), who=who_of(who))


async def capped(conn, **more) -> Cap:
    """A cap that counts."""
    made = await entered(conn, **more)
    await db.set_facts(conn, SECOND)
    return await caps.approve_cap(conn, cap_no=made.cap_no, who=who_of(SECOND))


async def worth(conn, amount_minor, **more) -> Uit:
    """A value of a UIT that counts."""
    await db.set_facts(conn, COORDINATION)
    made = await caps.add_uit(
        conn, uit(amount_minor=amount_minor, **more), who=who_of(COORDINATION)
    )
    await db.set_facts(conn, SECOND)
    return await caps.approve_uit(conn, uit_no=made.uit_no, who=who_of(SECOND))


async def paid(conn, round_id) -> list[int]:
    found = await disburse.load_entitlements(conn, round_id)
    return sorted(each.money.amount_minor for each in found)


def test_the_newest_cap_of_the_currency_counts_and_a_uit_is_what_it_is_worth_that_day():
    old = cap(cap_no=1, per_transaction=100)
    new = cap(
        cap_no=2, per_transaction=125, unit="uit_thousandths", effective_from=date(2026, 6, 1)
    )
    dollars = cap(cap_no=3, per_transaction=7, currency="USD")
    uits = [uit(), uit(uit_no=2, effective_from=date(2026, 7, 1), amount_minor=500_001)]

    def of(on, currency="PEN"):
        limits, found = limits_in_force([new, dollars, old], uits, currency=currency, on=on)
        return {kind: each.per_transaction_minor for kind, each in limits.items()}, found

    assert of(date(2025, 12, 31)) == ({}, None)
    assert of(date(2026, 5, 31)) == ({"bank_account": 100}, None)
    assert of(date(2026, 6, 1)) == ({"bank_account": 62_500}, uits[0])
    # Rounded down: what the law allows is never exceeded by a part of a céntimo.
    assert of(date(2026, 7, 1)) == ({"bank_account": 62_500}, uits[1])
    assert of(date(2026, 7, 1), "USD") == ({"bank_account": 7}, None)


def test_a_payment_of_just_the_cap_is_not_above_it():
    limits = Limits(cap_no=1, per_transaction_minor=5, per_month_minor=8, balance_minor=6)
    assert not limits.is_above(5, 6, 2)
    assert limits.is_above(6, 6, 0)
    assert limits.is_above(5, 6, 3)
    assert limits.is_above(4, 7, 0)
    assert not Limits(
        cap_no=1, per_transaction_minor=None, per_month_minor=None, balance_minor=None
    ).is_above(10**12, 10**12, 10**12)


async def test_who_would_get_more_than_the_cap_is_left_out(conn):
    _, household_ids, round_id = await a_round(conn, 3)
    made = await capped(conn, per_transaction=15_000)
    found = await calculated(conn, round_id)
    assert found.left_out == {str(household_ids[2]): ("above_instrument_cap",)}
    assert await paid(conn, round_id) == [10_000, 15_000]
    assert (await load_kept(conn, round_id)).cap_nos == (made.cap_no,)


async def test_a_cap_of_another_instrument_currency_or_time_stops_nobody(conn):
    _, _, round_id = await a_round(conn, 2)
    await capped(conn, per_transaction=1, instrument_kind="mobile_wallet")
    await capped(conn, per_transaction=1, currency="USD")
    await capped(conn, per_transaction=1, effective_from=date(2027, 1, 1))
    await calculated(conn, round_id)
    assert await paid(conn, round_id) == [10_000, 15_000]


async def test_what_other_rounds_pay_in_the_month_counts_for_its_cap(conn):
    programme, household_ids, round_id = await a_round(conn, 2)
    await calculated(conn, round_id)
    await capped(conn, per_month=25_000)
    # Paid on the same day, for another month.
    following = await opened(conn, programme, first=date(2026, 8, 1), end=date(2026, 9, 1))
    made = await calculated(conn, following.round_id)
    assert made.left_out == {str(household_ids[1]): ("above_instrument_cap",)}


async def test_the_gate_asks_the_caps_again(conn):
    _, household_ids, round_id = await a_round(conn, 2)
    await calculated(conn, round_id)
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED), start=1):
        await signed(conn, round_id, step, staff(place))
    lowered = await capped(conn, balance=12_000)
    with pytest.raises(PayeesBlocked) as refused:
        async with conn.begin_nested():
            await signed(conn, round_id, Step.APPROVED, staff(3))
    assert refused.value.blocked == {household_ids[1]: ("above_instrument_cap",)}
    # Raised again by a later entry of the same day; then lowered before the release.
    await capped(conn, balance=50_000)
    await signed(conn, round_id, Step.APPROVED, staff(3))
    await capped(conn, balance=lowered.balance)
    with pytest.raises(PayeesBlocked):
        async with conn.begin_nested():
            await released(conn, round_id)
    await capped(conn, balance=50_000)
    assert (await released(conn, round_id)).payments == 2


async def test_top_up_and_instalment_count_together_for_month_and_balance(conn):
    programme = await programme_of(conn)
    await enrolled_families(conn, programme, 1)
    line = {"code": "school", "amount": "60.00", "per": "household"}
    await agreed(conn, programme, "top_up", {"lines": [line]}, staff(0))
    await capped(conn, per_transaction=10_000, balance=16_000)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id)
    assert await paid(conn, round_id) == [6_000, 10_000]
    await capped(conn, per_transaction=10_000, balance=15_999)
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED), start=1):
        await signed(conn, round_id, step, staff(place))
    with pytest.raises(PayeesBlocked):
        await signed(conn, round_id, Step.APPROVED, staff(3))


async def test_a_round_goes_on_with_the_caps_and_the_uit_of_its_first_page(conn):
    _, household_ids, round_id = await a_round(conn, 3)
    counted = await worth(conn, 100_000)
    await capped(conn, per_transaction=150, unit="uit_thousandths")
    assert isinstance(await calculated_once(conn, round_id, chunk_max=1), Progress)
    await worth(conn, 900_000)
    made = await calculated(conn, round_id)
    assert made.left_out == {str(household_ids[2]): ("above_instrument_cap",)}
    assert (await load_kept(conn, round_id)).uit_no == counted.uit_no


async def test_a_cap_in_uit_needs_a_uit_and_only_coordination_enters_caps(conn):
    with pytest.raises(NoUit):
        await capped(conn, per_month=1_000, unit="uit_thousandths")
    for roles in ({"programme", "finance"}, {"auditor"}, {"admin"}):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with conn.begin_nested():
                await entered(conn, staff(21, roles=roles), per_month=1_000)


async def test_what_one_person_entered_counts_for_nothing_until_another_approves(conn):
    _, household_ids, round_id = await a_round(conn, 2)
    made = await entered(conn, per_transaction=12_000)
    assert await caps.load_limits(conn, currency="PEN", on=PAYS_ON) == ({}, None)
    by_hand = basis_by_hand(conn, round_id, ALFA, cap_nos=[made.cap_no])
    with pytest.raises(DBAPIError, match="calculation_basis_of_approved_caps"):
        async with conn.begin_nested():
            await by_hand
    for who, refusal in ((COORDINATION, ApprovedByAuthor), (SECOND, None), (SECOND, TermApproved)):
        await db.set_facts(conn, who)
        approving = caps.approve_cap(conn, cap_no=made.cap_no, who=who_of(who))
        if refusal is None:
            assert (await approving).approved_by == who.actor_id
            continue
        with pytest.raises(refusal):
            await approving
    found = await calculated(conn, round_id)
    assert set(found.left_out) == {str(household_ids[1])}


async def test_a_uit_counts_when_it_is_approved_and_is_what_a_cap_stands_on(conn):
    await worth(conn, 100_000)
    await capped(conn, per_transaction=150, unit="uit_thousandths")
    await db.set_facts(conn, COORDINATION)
    more = await caps.add_uit(conn, uit(amount_minor=900_000), who=who_of(COORDINATION))

    async def counted() -> int | None:
        limits, _ = await caps.load_limits(conn, currency="PEN", on=PAYS_ON)
        return limits["bank_account"].per_transaction_minor

    assert await counted() == 15_000
    with pytest.raises(ApprovedByAuthor):
        await caps.approve_uit(conn, uit_no=more.uit_no, who=who_of(COORDINATION))
    await db.set_facts(conn, SECOND)
    await caps.approve_uit(conn, uit_no=more.uit_no, who=who_of(SECOND))
    assert await counted() == 135_000


async def test_two_who_approve_one_cap_at_the_same_moment_approve_it_once(own):
    async with own.begin(COORDINATION) as conn:
        made = await entered(conn, per_transaction=1)

    async def approve(place):
        who = staff(place, roles={"coordinator"})
        async with own.begin(who) as conn:
            return await caps.approve_cap(conn, cap_no=made.cap_no, who=who_of(who))

    done = await asyncio.gather(*map(approve, (30, 31)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Cap", "TermApproved"]


async def test_nothing_else_is_approved_than_what_was_entered(conn):
    await db.set_facts(conn, SECOND)
    for approving in (
        caps.approve_cap(conn, cap_no=2**62, who=who_of(SECOND)),
        caps.approve_uit(conn, uit_no=2**62, who=who_of(SECOND)),
    ):
        with pytest.raises(NotFound):
            await approving
    made = await entered(conn, per_transaction=1)
    other = staff(22, roles={"programme", "finance", "admin"})
    await db.set_facts(conn, other)
    with pytest.raises(DBAPIError, match="row-level security"):
        await caps.approve_cap(conn, cap_no=made.cap_no, who=who_of(other))
