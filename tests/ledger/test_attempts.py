import asyncio
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text

from api import db
from ledger.attempt import Giveback, Outcome
from ledger.attempts import open_attempts, record_outcomes, record_returns
from ledger.refusal import AttemptRefused, OutcomeConflict, TransferRefused
from ledger.standing import load_states
from ledger.transfer import reversal, transfer_id
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import (
    AT,
    DAY,
    attempt,
    came_back,
    ended,
    opened,
    pen,
    posted,
    step,
    tried,
)


def refusal(refused) -> tuple[int, str]:
    return refused.value.attempt_no, refused.value.constraint


async def test_opening_twice_is_opening_once(conn):
    first = attempt(uuid4(), 100)
    assert await tried(conn, first, attempt(uuid4(), 100)) == 2
    assert await tried(conn, first) == 0
    assert await tried(conn) == 0


async def test_an_open_attempt_cant_be_opened_with_another_amount(conn):
    first = attempt(uuid4(), 100)
    await tried(conn, first)
    with pytest.raises(AttemptRefused) as refused:
        await tried(conn, msgspec.structs.replace(first, money=pen(101)))
    assert refusal(refused) == (1, "attempt_pkey")


async def test_a_second_attempt_while_the_first_is_open_is_refused(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    with pytest.raises(AttemptRefused) as refused:
        await tried(conn, attempt(uuid4(), 100), attempt(payment, 100, 2))
    assert refused.value.payment_id == payment
    assert refusal(refused) == (2, "attempt_after_void")


async def test_an_attempt_after_a_delivered_one_is_refused(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await ended(conn, payment, "post")
    with pytest.raises(AttemptRefused) as refused:
        await tried(conn, attempt(payment, 100, 2))
    assert refusal(refused) == (2, "attempt_after_void")


async def test_an_attempt_after_a_returned_one_is_refused(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await ended(conn, payment, "post")
    back = Giveback(payment_id=payment, attempt_no=1, reason="AC04")
    assert await record_returns(conn, [back], partner_id=PARTNER_A, at=AT) == 1
    assert await record_returns(conn, [back], partner_id=PARTNER_A, at=AT) == 0
    with pytest.raises(AttemptRefused):
        await tried(conn, attempt(payment, 100, 2))


async def test_after_what_came_back_comes_another_attempt_that_says_so(conn):
    payment = uuid4()
    second = msgspec.structs.replace(attempt(payment, 100, 2), after_return=True)
    await tried(conn, attempt(payment, 100))
    for _ in ("open", "delivered"):
        with pytest.raises(AttemptRefused) as refused:
            await tried(conn, second)
        assert refusal(refused) == (2, "attempt_after_return")
        await ended(conn, payment, "post")
    await came_back(conn, payment)
    assert await tried(conn, second) == 1
    assert await tried(conn, second) == 0
    with pytest.raises(AttemptRefused) as refused:
        await tried(conn, msgspec.structs.replace(second, after_return=False))
    assert refusal(refused)[0] == 2


async def test_a_partly_delivered_payment_gets_no_other_attempt(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await ended(conn, payment, "post", part=pen(60))
    for after_return in (False, True):
        second = msgspec.structs.replace(attempt(payment, 100, 2), after_return=after_return)
        with pytest.raises(AttemptRefused):
            await tried(conn, second)


async def test_what_came_back_is_reserved_again_when_it_is_taken_back_and_freed(conn):
    await opened(conn, grant=100)
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    sent = step("post", payment, 100)
    await posted(conn, step("reserve", payment, 100))
    await ended(conn, payment, "post")
    await posted(conn, sent)
    await came_back(conn, payment)
    await tried(conn, msgspec.structs.replace(attempt(payment, 100, 2), after_return=True))
    again = step("reserve", payment, 100, 2)
    freed = msgspec.structs.replace(
        step("void", payment, 100),
        transfer_id=transfer_id("freed", payment_id=payment),
        kind="adjust",
    )
    for more in (reversal(sent, entry_id=uuid4(), effective_on=DAY), freed):
        with pytest.raises(TransferRefused) as refused:
            async with conn.begin_nested():
                await posted(conn, again)
        assert refused.value.constraint == "transfer_after_void"
        await posted(conn, more)
    assert await posted(conn, again) == 1


async def test_after_a_void_comes_the_next_number_and_no_other(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await ended(conn, payment, "void")
    with pytest.raises(AttemptRefused):
        await tried(conn, attempt(payment, 100, 3))
    assert await tried(conn, attempt(payment, 100, 2)) == 1
    with pytest.raises(AttemptRefused):
        await tried(conn, attempt(payment, 100, 3))


async def test_an_end_to_end_id_belongs_to_one_attempt(conn):
    first = attempt(uuid4(), 100)
    await tried(conn, first)
    with pytest.raises(AttemptRefused) as refused:
        await tried(conn, msgspec.structs.replace(first, payment_id=uuid4()))
    assert refusal(refused) == (1, "attempt_end_to_end_id_once")


async def test_an_attempt_has_one_outcome(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    assert await ended(conn, payment, "void") == 1
    assert await ended(conn, payment, "void") == 0
    with pytest.raises(OutcomeConflict):
        await ended(conn, payment, "post")
    other = {"pay": payment, "partner": PARTNER_A}
    with pytest.raises(Exception, match="outcome_pkey"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO ledger.outcome (payment_id, attempt_no, partner_id, outcome,"
                    " reason, decided_at) VALUES (:pay, 1, :partner, 'post', '', now())"
                ),
                other,
            )


async def test_an_outcome_needs_an_open_attempt_and_a_return_a_delivered_one(conn):
    payment = uuid4()
    with pytest.raises(AttemptRefused) as refused:
        await ended(conn, payment, "post")
    assert refusal(refused) == (1, "outcome_of_attempt")
    await tried(conn, attempt(payment, 100))
    back = Giveback(payment_id=payment, attempt_no=1)
    with pytest.raises(AttemptRefused) as refused:
        await record_returns(conn, [back], partner_id=PARTNER_A, at=AT)
    assert refusal(refused) == (1, "giveback_after_delivery")


async def test_another_organisation_cant_void_an_attempt_to_have_it_paid_twice(conn):
    payment = uuid4()
    await tried(conn, attempt(payment, 100))
    await db.set_facts(conn, actor(PARTNER_B))
    void = Outcome(payment_id=payment, attempt_no=1, outcome="void")
    with pytest.raises(AttemptRefused):
        await record_outcomes(conn, [void], partner_id=PARTNER_B, at=AT)
    with pytest.raises(AttemptRefused):
        await open_attempts(conn, [attempt(payment, 100, 2)], partner_id=PARTNER_B, at=AT)


async def test_the_standing_of_a_payment_is_all_its_attempts_in_order(conn):
    paid, unknown = uuid4(), uuid4()
    await tried(conn, attempt(paid, 100))
    await ended(conn, paid, "void")
    await tried(conn, attempt(paid, 100, 2))
    await ended(conn, paid, "post", 2)
    back = Giveback(payment_id=paid, attempt_no=2, reason="MD07")
    await record_returns(conn, [back], partner_id=PARTNER_A, at=AT)
    states = await load_states(conn, [paid, unknown])
    assert states[unknown] == []
    assert [(one.outcome, one.reason, one.returned, one.return_reason) for one in states[paid]] == [
        ("void", "AC04", False, ""),
        ("post", "AC04", True, "MD07"),
    ]
    assert states[paid][1].attempt == attempt(paid, 100, 2)


@pytest.mark.parametrize("race", range(3))
async def test_of_two_that_open_the_next_attempt_or_decide_at_once_one_wins(own, race):
    payment = uuid4()
    async with own.begin() as conn:
        await tried(conn, attempt(payment, 100))

    async def decide(outcome) -> str:
        try:
            async with own.begin() as conn:
                await ended(conn, payment, outcome)
                await asyncio.sleep(0.02)
                return outcome
        except OutcomeConflict:
            return "refused"

    decided = await asyncio.gather(decide("post"), decide("void"))
    assert decided.count("refused") == 1
