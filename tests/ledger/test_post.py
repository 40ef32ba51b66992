import asyncio
import time
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest

from api import db
from ledger.account import Account
from ledger.money import Money
from ledger.post import balances, open_accounts, post
from ledger.refusal import (
    AccountConflict,
    AccountNotOpen,
    AttemptRefused,
    InsufficientFunds,
    OutcomeConflict,
    TransferConflict,
    TransferRefused,
)
from ledger.standing import load_states
from ledger.transfer import Transfer, reversal, transfer_id
from ledger.trial import trial_balance
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import (
    ACTOR,
    AT,
    BANK,
    BOOKS,
    DAY,
    DELIVERED,
    DONOR,
    RESERVED,
    attempt,
    draw,
    ended,
    fund,
    opened,
    pen,
    posted,
    step,
    tried,
)


async def balance(conn, account):
    return (await balances(conn, [account]))[account.account_id]


async def test_a_grant_is_on_both_sides_of_the_books(conn):
    await opened(conn)
    assert await posted(conn, fund(100_00)) == 1
    assert await balances(conn, [BANK, DONOR, DELIVERED]) == {
        BANK.account_id: 100_00,
        DONOR.account_id: 100_00,
        DELIVERED.account_id: 0,
    }


async def test_posting_twice_is_posting_once(conn):
    await opened(conn)
    assert await posted(conn, fund(100_00), fund(100_00)) == 1
    assert await posted(conn, fund(100_00)) == 0
    assert await balance(conn, BANK) == 100_00


async def test_a_repeat_by_another_person_at_another_time_is_the_same_row(conn):
    await opened(conn)
    await posted(conn, fund(100_00))
    later = AT.replace(hour=13)
    again = await post(conn, [fund(100_00)], partner_id=PARTNER_A, at=later, actor_id=UUID(int=78))
    assert again == 0


async def test_the_same_id_with_another_content_is_refused(conn):
    await opened(conn)
    await posted(conn, fund(100_00))
    with pytest.raises(TransferConflict) as refused:
        await posted(conn, fund(100_01))
    assert refused.value.transfer_id == fund(1).transfer_id
    with pytest.raises(TransferConflict):
        await posted(conn, fund(5, "one"), fund(6, "one"))


async def test_nothing_of_a_batch_is_posted_when_one_is_refused(conn):
    await opened(conn, grant=100)
    with pytest.raises(InsufficientFunds):
        async with conn.begin_nested():
            await posted(conn, fund(10, "more"), draw(111))
    assert await balance(conn, BANK) == 100


async def test_an_account_does_not_fall_below_its_floor(conn):
    await opened(conn, grant=100)
    assert await posted(conn, draw(60)) == 1
    with pytest.raises(InsufficientFunds) as refused:
        async with conn.begin_nested():
            await posted(conn, draw(41))
    facts = msgspec.to_builtins(refused.value)
    assert facts == {
        "account_code": "test/bank",
        "currency": "PEN",
        "available_minor": 40,
        "wanted_minor": 41,
    }


async def test_a_repeat_needs_no_funds(conn):
    await opened(conn, grant=100)
    taken = draw(100)
    assert await posted(conn, taken) == 1
    assert await posted(conn, taken) == 0


async def test_an_account_that_was_not_opened_is_refused(conn):
    with pytest.raises(AccountNotOpen) as refused:
        async with conn.begin_nested():
            await posted(conn, fund(100))
    assert refused.value.currency == "PEN"


async def test_opening_again_changes_nothing_and_opening_otherwise_is_refused(conn):
    await opened(conn)
    await opened(conn)
    other = msgspec.structs.replace(BANK, floor_minor=-100)
    with pytest.raises(AccountConflict):
        await open_accounts(conn, [other], partner_id=PARTNER_A)


async def test_another_organisation_can_neither_open_nor_use_nor_see_an_account(conn):
    await opened(conn, grant=100)
    await db.set_facts(conn, actor(PARTNER_B))
    with pytest.raises(AccountConflict):
        await open_accounts(conn, BOOKS, partner_id=PARTNER_B)
    with pytest.raises(AccountNotOpen):
        async with conn.begin_nested():
            await post(conn, [fund(1)], partner_id=PARTNER_B, at=AT, actor_id=ACTOR)
    assert await trial_balance(conn) == []
    assert await balance(conn, BANK) == 0


async def test_an_auditor_sees_the_books_of_all(conn):
    await opened(conn, grant=100)
    await db.set_facts(conn, actor(PARTNER_B, "auditor"))
    assert await balance(conn, BANK) == 100


async def test_the_trial_balance_is_in_order_of_codes_and_balances(conn):
    await opened(conn, grant=100)
    await posted(conn, draw(30))
    rows = await trial_balance(conn)
    assert [(row.code, row.balance_minor) for row in rows] == [
        ("test/bank", 70),
        ("test/delivered", 0),
        ("test/donor", 100),
        ("test/reserved", 30),
    ]
    assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows) == 130


async def test_a_reversal_takes_back_exactly_and_once(conn):
    await opened(conn)
    grant = fund(100)
    await posted(conn, grant)
    undo = reversal(grant, entry_id=uuid4(), effective_on=DAY)
    assert await posted(conn, undo) == 1
    assert await posted(conn, undo) == 0
    assert await balance(conn, BANK) == 0
    twice = msgspec.structs.replace(undo, transfer_id=uuid4())
    await posted(conn, fund(500, "another"))
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, twice)
    assert refused.value.constraint == "transfer_reversed_within"


async def test_a_reversal_of_a_reversal_is_the_original(conn):
    await opened(conn)
    grant = fund(100)
    undo = reversal(grant, entry_id=uuid4(), effective_on=DAY)
    redo = reversal(undo, entry_id=uuid4(), effective_on=DAY)
    assert (redo.debit, redo.credit, redo.money) == (grant.debit, grant.credit, grant.money)
    await posted(conn, grant)
    await posted(conn, undo)
    await posted(conn, redo)
    assert await balance(conn, BANK) == 100


async def test_reversals_of_parts_take_back_the_whole_and_no_more(conn):
    await opened(conn)
    grant = fund(100)
    await posted(conn, grant, fund(100, "another"))

    def part(amount_minor: int, name: str) -> Transfer:
        entry_id = uuid5(grant.transfer_id, name)
        money = pen(amount_minor)
        return reversal(grant, entry_id=entry_id, effective_on=DAY, part=money, name=name)

    assert await posted(conn, part(60, "first")) == 1
    assert await posted(conn, part(60, "first")) == 0
    for too_much in ([part(41, "second")], [part(20, "second"), part(21, "third")]):
        with pytest.raises(TransferRefused) as refused:
            async with conn.begin_nested():
                await posted(conn, *too_much)
        assert refused.value.constraint == "transfer_reversed_within"
    assert await posted(conn, part(20, "second"), part(20, "third")) == 2
    assert await balance(conn, BANK) == 100


async def test_two_reversals_at_once_take_back_no_more_than_there_was(own):
    grant = fund(100)
    async with own.begin() as conn:
        await opened(conn, grant=100)
        await posted(conn, grant)

    async def take_back(name: str) -> str:
        undo = reversal(grant, entry_id=uuid4(), effective_on=DAY, part=pen(60), name=name)
        try:
            async with own.begin() as conn:
                await posted(conn, undo)
                await asyncio.sleep(0.05)
        except TransferRefused as refused:
            return refused.constraint
        return "posted"

    said = await asyncio.gather(*map(take_back, "abc"))
    assert sorted(said) == ["posted", *["transfer_reversed_within"] * 2]


async def test_a_payment_delivered_in_part_is_posted_in_part_and_the_rest_voided(conn):
    await opened(conn, grant=100)
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await posted(conn, step("reserve", payment, 100))
    await ended(conn, payment, "post", part=pen(70))
    await posted(conn, step("post", payment, 70), step("void", payment, 30))
    assert await balance(conn, DELIVERED) == 70
    assert await balance(conn, RESERVED) == 0
    assert await balance(conn, BANK) == 30
    with pytest.raises(OutcomeConflict):
        await ended(conn, payment, "post")
    assert await ended(conn, payment, "post", part=pen(70)) == 0
    (state,) = (await load_states(conn, [payment]))[payment]
    assert (state.delivered, state.part) == (pen(70), pen(70))
    # It is delivered: there is no other attempt for the rest.
    with pytest.raises(AttemptRefused) as refused:
        await tried(conn, attempt(payment, 30, 2))
    assert refused.value.constraint == "attempt_after_void"


USD = Money(amount_minor=50, currency="USD")


@pytest.mark.parametrize("part", [pen(100), pen(101), USD], ids=str)
async def test_a_part_is_less_than_the_whole_and_of_its_currency(conn, part):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    with pytest.raises(AttemptRefused) as refused:
        await ended(conn, payment, "post", part=part)
    assert refused.value.constraint == "outcome_part_of_attempt"


async def test_a_payment_is_booked_as_delivered_only_beside_that_outcome(conn):
    await opened(conn, grant=100)
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await posted(conn, step("reserve", payment, 100))
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, step("post", payment, 100))
    assert refused.value.constraint == "transfer_of_outcome"
    await ended(conn, payment, "void")
    assert await posted(conn, step("void", payment, 100)) == 1
    assert await balance(conn, BANK) == 100


async def test_one_step_of_an_attempt_is_booked_once_under_any_id(conn):
    await opened(conn, grant=100)
    taken = step("reserve", uuid4(), 40)
    await tried(conn, attempt(taken.payment_id, 40))
    await posted(conn, taken)
    beside = transfer_id("other", payment_id=taken.payment_id)
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, msgspec.structs.replace(taken, transfer_id=beside))
    assert refused.value.constraint == "transfer_attempt_once"
    with pytest.raises(TransferRefused) as refused:
        async with conn.begin_nested():
            await posted(conn, msgspec.structs.replace(taken, transfer_id=uuid4(), kind="adjust"))
    assert refused.value.constraint == "transfer_beside_its_payment"


def test_a_transfer_that_makes_no_sense_is_not_made():
    good = fund(100)
    usd = Account(code="test/bank", currency="USD", normal="debit")
    for wrong in (
        {"money": pen(0)},
        {"money": Money(amount_minor=1, currency="USD")},
        {"debit": usd},
        {"debit": good.credit},
        {"payment_id": uuid4()},
        {"kind": "reverse"},
    ):
        with pytest.raises(ValueError, match=r"transfer|payment|reversal"):
            msgspec.structs.replace(good, **wrong)


def test_ids_do_not_run_into_each_other():
    assert transfer_id("ab", "c") != transfer_id("a", "bc")
    assert transfer_id("a", 1) == transfer_id("a", 1)


async def test_ten_thousand_transfers_take_about_a_second(conn):
    await opened(conn, grant=10_000)
    batch = [step("reserve", UUID(int=n), 1) for n in range(1, 10_001)]
    await tried(conn, *(attempt(one.payment_id, 1) for one in batch))
    started = time.perf_counter()
    assert await posted(conn, *batch) == 10_000
    assert time.perf_counter() - started < 10  # ten times what it takes, for busy machines
    assert await posted(conn, *batch) == 0
    assert await balance(conn, RESERVED) == 10_000
    with pytest.raises(ValueError, match="exceed"):
        await posted(conn, *batch, fund(1, "one more"))


async def test_of_two_that_take_the_last_money_at_once_one_is_refused(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)

    async def take() -> int | InsufficientFunds:
        try:
            async with own.begin() as conn:
                taken = await posted(conn, draw(60))
                await asyncio.sleep(0.05)
                return taken
        except InsufficientFunds as refused:
            return refused

    taken = await asyncio.gather(take(), take(), take())
    assert sorted(str(type(one).__name__) for one in taken) == [
        "InsufficientFunds",
        "InsufficientFunds",
        "int",
    ]


async def test_the_same_batch_from_two_sides_at_once_is_posted_once(own):
    async with own.begin() as conn:
        await opened(conn)
    batch = [fund(1, n) for n in range(200)]

    async def run(transfers) -> int:
        async with own.begin() as conn:
            new = await posted(conn, *transfers)
            await asyncio.sleep(0.05)
            return new

    counts = await asyncio.gather(run(batch), run(batch[::-1]), run(batch))
    assert sorted(counts) == [0, 0, 200]
    async with own.begin() as conn:
        assert await balance(conn, BANK) == 200


def test_a_transfer_is_an_immutable_value():
    made = fund(1)
    with pytest.raises(AttributeError):
        made.money = pen(2)
    assert isinstance(made, Transfer)
