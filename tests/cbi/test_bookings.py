"""Every event of a programme keeps its books in balance, and the money where it is said to be."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from cbi import bookings
from ledger.attempt import Attempt
from ledger.exchange import Exchange
from ledger.money import Money
from ledger.transfer import Transfer, reversal
from ledger.trial import trial_balance
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


WHOSE = ("fund", "grant", "available", "committed", "payable", "delivered", "spent", "suspense")
WHERE = ("advance", "clearing", "expense", "fees", "exchange", "receivable")


def balances(transfers, currency="PEN") -> dict[str, int]:
    """Each account's balance in its normal direction, by its last word."""
    found = dict.fromkeys((*WHOSE, *WHERE), 0)
    for transfer in transfers:
        if transfer.money.currency != currency:
            continue
        for account, side in ((transfer.debit, "debit"), (transfer.credit, "credit")):
            sign = 1 if account.normal == side else -1
            found[name_of(account.code)] += sign * transfer.money.amount_minor
    return found


def name_of(code: str) -> str:
    return code.split(":")[2]


def assert_identity(found: dict[str, int]) -> None:
    assert sum(found[name] for name in WHERE) == sum(found[name] for name in WHOSE)
    assert found["expense"] == found["delivered"]
    floored = ("fund", "grant", "available", "committed", "payable", "delivered")
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
    booked.append(bookings.instructed(ROUND, pen(total), on=DAY))
    assert_identity(balances(booked))
    if off:
        booked.append(bookings.not_needed(PROGRAMME, ROUND, pen(off), on=DAY))
    assert_identity(balances(booked))
    for one, (_, what) in zip(attempts, payments, strict=True):
        booked += ended(what, one)
        assert_identity(balances(booked))
    sums = {what: sum(m for m, each in payments if each == what) for what in ENDS}
    expected = {
        "fund": spare + off + 1,
        "available": sums["rejected"] + sums["returned"],
        "payable": sums["pending"],
        "delivered": sums["delivered"],
        "expense": sums["delivered"],
        "advance": total + off + spare + 1 - sums["delivered"],
    }
    assert balances(booked) == dict.fromkeys((*WHOSE, *WHERE), 0) | expected
    ids = [transfer.transfer_id for transfer in booked]
    assert len(set(ids)) == len(ids)


def sent(round_id: UUID, one: Attempt) -> list[Transfer]:
    """A round of one payment, released."""
    return [
        bookings.set_aside(PROGRAMME, round_id, one.money, on=DAY),
        *bookings.reserved(round_id, [one], currency="PEN", on=DAY),
        bookings.instructed(round_id, one.money, on=DAY),
    ]


EVENTS = st.sampled_from(
    ["grant", "allot", "fee", "loss", "gain", "suspense", "claim", "clearing", "sell", "part"]
)


def event(what: str, minor: int, place: int) -> list[Transfer]:
    """One event of a programme that has enough of everything."""
    key, one, on = UUID(int=500 + place), attempt(900 + place, minor + 1), {"on": DAY}
    match what:
        case "grant":
            return [bookings.funded(PROGRAMME, pen(minor), deposit_id=key, of_grant="G1", **on)]
        case "allot":
            given = event("grant", minor, place)
            return [*given, bookings.allotted(PROGRAMME, "G1", pen(minor), allotment_id=key, **on)]
        case "fee":
            return bookings.charged(PROGRAMME, pen(minor), line_id=key, **on)
        case "loss" | "gain":
            pair = pen(2 * minor), pen(minor)
            expected, actual = pair if what == "loss" else pair[::-1]
            return bookings.exchange_result(PROGRAMME, expected, actual, entry_id=key, **on)
        case "suspense":
            side = "debit" if place % 2 else "credit"
            return [bookings.suspended(PROGRAMME, pen(minor), side, line_id=key, **on)]
        case "claim":
            return [bookings.claimed(PROGRAMME, pen(minor), line_id=key, **on)]
        case "clearing":
            return [bookings.cleared(PROGRAMME, pen(minor), report_id=key, **on)]
        case "sell":
            return bookings.exchanged(PROGRAMME, sold(minor), on=DAY)
    released = sent(key, one)
    return [*released, *bookings.paid(PROGRAMME, key, one, on=DAY, part=pen(1))]


def sold(minor: int) -> Exchange:
    usd = Money(amount_minor=minor, currency="USD")
    return Exchange(
        partner_id=UUID(int=9),
        name="TC-1",
        sold=pen(minor * 4),
        bought=usd,
        rate=Decimal("0.25"),
        rate_source="SBS",
        rate_on=DAY,
    )


@given(st.lists(st.tuples(EVENTS, st.integers(1, 10**6)), max_size=15))
def test_both_sides_of_the_books_are_one_sum_whatever_happens(events):
    booked = [bookings.funded(PROGRAMME, pen(10**9), deposit_id=ROUND, on=DAY)]
    for place, (what, minor) in enumerate(events):
        booked += event(what, minor, place)
        assert_identity(balances(booked))
        assert_identity(balances(booked, "USD"))
    taken_back = [
        reversal(one, entry_id=ROUND, effective_on=DAY)
        for one in booked
        if one.debit.code.endswith(":receivable") or ":suspense" in one.credit.code
    ]
    assert_identity(balances(booked + taken_back))


def test_a_round_that_is_over_gives_back_what_is_left_and_later_what_came_back():
    one = attempt(1, 500)
    booked = [bookings.funded(PROGRAMME, pen(500), deposit_id=ROUND, on=DAY)]
    booked += sent(ROUND, one)
    booked.append(bookings.rejected(ROUND, one, on=DAY))
    close = bookings.closed(PROGRAMME, ROUND, pen(500), ever_available_minor=1000, on=DAY)
    found = balances([*booked, close])
    assert (found["available"], found["fund"], found["payable"]) == (0, 500, 0)
    later = bookings.closed(PROGRAMME, ROUND, pen(500), ever_available_minor=1500, on=DAY)
    assert close.transfer_id != later.transfer_id


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
    assert len({account.account_id for account in accounts}) == 9 + 2 * 4


async def books(conn) -> dict[str, int]:
    rows = await trial_balance(conn)
    assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows)
    found = dict.fromkeys((*WHOSE, *WHERE), 0)
    found |= {name_of(row.code): row.balance_minor for row in rows}
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
    assert (await books(conn))["payable"] == 45_000
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
    assert (found["available"], found["payable"]) == (lost_minor + back_minor, 0)
    assert (found["delivered"], found["fund"]) == (kept_minor, 55_000)
