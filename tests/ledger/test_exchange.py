"""Two currencies: an exchange is whole, at the rate it names, and can't be changed later."""

from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from ledger.account import Account
from ledger.exchange import Exchange
from ledger.exchanges import exchanges, record_exchange
from ledger.money import Money
from ledger.post import balances, open_accounts
from ledger.refusal import TransferRefused
from tests.conftest import PARTNER_A
from tests.ledger.books import DAY, posted
from tests.ledger.test_seal import faults, sealed, verified


def money(minor: int, currency: str) -> Money:
    return Money(amount_minor=minor, currency=currency)


def account(code: str, currency: str) -> Account:
    return Account(code=f"fx/{code}", currency=currency, normal="debit")


SOLD = account("fund", "USD"), account("bank", "USD")
BOUGHT = account("bank", "PEN"), account("fund", "PEN")
SALE = Exchange(
    partner_id=PARTNER_A,
    name="TC-2026-03-01",
    sold=money(100_000, "USD"),
    bought=money(374_500, "PEN"),
    rate=Decimal("3.745"),
    rate_source="SBS venta",
    rate_on=DAY,
)


def legs(sale=SALE):
    return sale.legs(sold=SOLD, bought=BOUGHT, effective_on=DAY)


async def begun(conn) -> None:
    await open_accounts(conn, [*SOLD, *BOUGHT], partner_id=PARTNER_A)


async def test_an_exchange_moves_both_currencies_and_is_read_back(conn):
    await begun(conn)
    await record_exchange(conn, SALE)
    assert await posted(conn, *legs()) == 2
    await record_exchange(conn, SALE)
    assert await posted(conn, *legs()) == 0
    found = await balances(conn, [*SOLD, *BOUGHT])
    assert list(found.values()) == [100_000, -100_000, 374_500, -374_500]
    assert [one async for one in exchanges(conn)] == [(SALE.entry_id, SALE)]


@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2)])
async def test_one_leg_alone_is_refused(conn, which):
    await begun(conn)
    await record_exchange(conn, SALE)
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, *legs()[which])
    assert refused.value.constraint == "transfer_exchange_whole"


@pytest.mark.parametrize(
    "changed",
    [{"money": money(99_999, "USD")}, {"kind": "adjust"}, {"entry_id": SALE.partner_id}],
    ids=["amount", "kind", "entry"],
)
async def test_legs_that_are_not_what_the_exchange_says_are_refused(conn, changed):
    await begun(conn)
    await record_exchange(conn, SALE)
    first, second = legs()
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, msgspec.structs.replace(first, **changed), second)
    assert refused.value.constraint == "transfer_exchange_whole"


async def test_legs_without_a_recorded_rate_are_refused(conn):
    await begun(conn)
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, *legs())
    assert refused.value.constraint == "transfer_exchange_whole"


@pytest.mark.parametrize(
    "attack",
    ["rate = 3.9", "rate_source = 'nobody'", "rate_on = rate_on + 1", "name = 'another'"],
)
async def test_a_rate_that_was_changed_later_is_seen(own, attack):
    async with own.begin() as conn:
        await begun(conn)
        await record_exchange(conn, SALE)
        await posted(conn, *legs())
    await sealed(own)
    assert (await verified(own)).whole
    await own.tamper(f"UPDATE ledger.exchange SET {attack}")
    assert faults(await verified(own)) == {"exchange_edited"}


async def test_an_exchange_whose_facts_were_deleted_is_seen(own):
    async with own.begin() as conn:
        await begun(conn)
        await record_exchange(conn, SALE)
        await posted(conn, *legs())
    await sealed(own)
    await own.tamper("DELETE FROM ledger.exchange")
    assert faults(await verified(own)) == {"exchange_differs"}


def test_decimals_of_both_currencies_count():
    yen = msgspec.structs.replace(SALE, bought=money(157_000, "JPY"), rate=Decimal(157), name="JPY")
    assert yen.bought == money(157_000, "JPY")
    with pytest.raises(ValueError, match="another amount"):
        msgspec.structs.replace(yen, bought=money(15_700_000, "JPY"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"bought": money(374_500, "USD")},
        {"bought": money(374_502, "PEN")},
        {"bought": money(0, "PEN")},
        {"rate": Decimal(0)},
        {"rate": Decimal("-3.745")},
        {"rate": Decimal("NaN")},
        {"rate": Decimal("Infinity")},
    ],
)
def test_an_exchange_that_makes_no_sense_is_not_made(wrong):
    with pytest.raises(ValueError, match=r"exchange|rate"):
        msgspec.structs.replace(SALE, **wrong)


@given(st.integers(1, 10**12), st.decimals("0.0001", "9999", places=6))
def test_a_rounded_amount_is_an_exchange_and_its_id_does_not_depend_on_noughts(minor, rate):
    bought = int((minor * rate).to_integral_value())
    if bought == 0:
        return
    made = Exchange(
        partner_id=PARTNER_A,
        name="x",
        sold=money(minor, "USD"),
        bought=money(bought, "PEN"),
        rate=rate,
        rate_source="x",
        rate_on=date(2026, 1, 1),
    )
    longer = msgspec.structs.replace(made, rate=Decimal(f"{rate}000"))
    assert made.entry_id == longer.entry_id


async def test_the_database_keeps_a_rate_to_the_last_digit(conn):
    exact = msgspec.structs.replace(
        SALE, rate=Decimal("3.7450000000000000001"), sold=money(100_000, "USD")
    )
    await record_exchange(conn, exact)
    kept = await conn.scalar(text("SELECT rate FROM ledger.exchange"))
    assert kept == exact.rate
