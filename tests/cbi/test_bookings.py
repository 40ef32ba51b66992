"""Every event of a programme keeps its books in balance, and the money where it is said to be."""

from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from cbi import bookings
from ledger.attempt import Attempt
from ledger.money import Money
from ledger.post import trial_balance
from ledger.transfer import Transfer
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.world import (
    approved,
    enrolled_families,
    funded,
    opened,
    programme_of,
    released,
)

PROGRAMME, ROUND = UUID(int=1), UUID(int=2)
DAY = date(2026, 6, 1)
ENDS = ("pending", "delivered", "rejected", "returned")


def pen(minor: int) -> Money:
    return Money(amount_minor=minor, currency="PEN")


def attempt(place: int, minor: int) -> Attempt:
    return Attempt(
        payment_id=UUID(int=100 + place), attempt_no=1, end_to_end_id=f"E{place}", money=pen(minor)
    )


def ended(what: str, one: Attempt) -> list[Transfer]:
    match what:
        case "delivered":
            return bookings.paid(PROGRAMME, ROUND, one, on=DAY)
        case "rejected":
            return [bookings.rejected(ROUND, one, on=DAY)]
        case "returned":
            back = bookings.returned(PROGRAMME, ROUND, one, on=DAY)
            return bookings.paid(PROGRAMME, ROUND, one, on=DAY) + back
    return []


def balances(transfers) -> dict[str, int]:
    """Each account's balance in its normal direction, by its last word."""
    found = dict.fromkeys(("fund", "advance", "expense", "available", "committed", "delivered"), 0)
    for transfer in transfers:
        for account, side in ((transfer.debit, "debit"), (transfer.credit, "credit")):
            sign = 1 if account.normal == side else -1
            found[account.code.split(":")[-1]] += sign * transfer.money.amount_minor
    return found


def assert_identity(found: dict[str, int]) -> None:
    where = found["advance"] + found["expense"]
    whose = found["fund"] + found["available"] + found["committed"] + found["delivered"]
    assert where == whose
    assert found["expense"] == found["delivered"]
    floored = ("fund", "available", "committed", "delivered")
    assert min(found[name] for name in floored) >= 0


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.sampled_from(ENDS)), min_size=1, max_size=20),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_where_the_money_is_equals_whose_it_is_after_every_event(payments, spare, off):
    attempts = [attempt(place, minor) for place, (minor, _) in enumerate(payments)]
    total = sum(minor for minor, _ in payments)
    booked = [bookings.funded(PROGRAMME, pen(total + off + spare + 1), deposit_id=ROUND, on=DAY)]
    assert_identity(balances(booked))
    booked.append(bookings.set_aside(PROGRAMME, ROUND, pen(total + off), on=DAY))
    assert_identity(balances(booked))
    booked += bookings.reserved(ROUND, attempts, currency="PEN", on=DAY)
    assert_identity(balances(booked))
    if off:
        booked.append(bookings.not_needed(PROGRAMME, ROUND, pen(off), on=DAY))
    assert_identity(balances(booked))
    for one, (_, what) in zip(attempts, payments, strict=True):
        booked += ended(what, one)
        assert_identity(balances(booked))
    sums = {what: sum(m for m, each in payments if each == what) for what in ENDS}
    assert balances(booked) == {
        "fund": spare + off + 1,
        "available": sums["rejected"] + sums["returned"],
        "committed": sums["pending"],
        "delivered": sums["delivered"],
        "expense": sums["delivered"],
        "advance": total + off + spare + 1 - sums["delivered"],
    }
    ids = [transfer.transfer_id for transfer in booked]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("what", ENDS)
def test_an_event_booked_again_is_the_same_transfers(what):
    one = attempt(1, 500)
    assert ended(what, one) == ended(what, one)


def test_a_return_takes_back_exactly_what_the_delivery_booked():
    one = attempt(1, 500)
    forth = bookings.paid(PROGRAMME, ROUND, one, on=DAY)
    back = bookings.returned(PROGRAMME, ROUND, one, on=DAY)
    assert {each.reverses for each in back if each.kind == "reverse"} == {
        each.transfer_id for each in forth
    }


def test_every_account_of_a_programme_and_a_round_is_its_own():
    accounts = [
        *bookings.of_programme(PROGRAMME, "PEN"),
        *bookings.of_round(ROUND, "PEN"),
        *bookings.of_round(ROUND, "USD"),
    ]
    assert len({account.account_id for account in accounts}) == 9


async def books(conn) -> dict[str, int]:
    rows = await trial_balance(conn)
    assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows)
    found = {row.code.split(":")[-1]: row.balance_minor for row in rows}
    if "available" not in found:
        found |= dict.fromkeys(("available", "committed", "delivered"), 0)
    assert_identity(found)
    return found


async def test_the_trial_balance_holds_after_every_event_of_a_round(conn):
    programme = await programme_of(conn, grant=0)
    await books(conn)
    await funded(conn, programme, 100_000)
    await books(conn)
    await enrolled_families(conn, programme, 3)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await books(conn)
    await released(conn, round_id)
    assert (await books(conn))["committed"] == 45_000
    rows = await conn.execute(
        text("SELECT end_to_end_id, amount_minor FROM ledger.attempt ORDER BY payment_id")
    )
    (kept, kept_minor), (back, back_minor), (lost, lost_minor) = rows.all()
    events = [
        statement(line("pain.002", 1, lost, 0, status="rejected"), message_id="1"),
        statement(
            line("camt.053", 1, kept, kept_minor),
            line("camt.053", 2, back, back_minor),
            message_id="2",
        ),
        statement(line("camt.053", 1, back, back_minor, direction="credit"), message_id="3"),
    ]
    for event in events:
        await taken_in(conn, event)
        await settled(conn)
        found = await books(conn)
    assert (found["available"], found["committed"]) == (lost_minor + back_minor, 0)
    assert (found["delivered"], found["fund"]) == (kept_minor, 55_000)
