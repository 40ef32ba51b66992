"""Paying twice, in plain SQL as the service's own role: the database alone refuses it."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import db
from ledger.violation import constraint_of
from tests.conftest import PARTNER_A, PARTNER_B, actor

PAYMENT = UUID(int=900)


async def attempted(
    conn, attempt_no: int, *, end_to_end_id: str = "", partner=PARTNER_A, after_return=False
) -> None:
    await conn.execute(
        text(
            "INSERT INTO ledger.attempt (payment_id, attempt_no, partner_id, end_to_end_id,"
            " amount_minor, currency, opened_at, after_return) VALUES (:payment, :no, :partner,"
            " :e2e, 100, 'PEN', now(), :after_return)"
        ),
        {
            "payment": PAYMENT,
            "no": attempt_no,
            "partner": partner,
            "after_return": after_return,
            "e2e": end_to_end_id or f"E2E-{attempt_no}",
        },
    )


async def ended(conn, attempt_no: int, outcome: str) -> None:
    await conn.execute(
        text(
            "INSERT INTO ledger.outcome (payment_id, attempt_no, partner_id, outcome, reason,"
            " decided_at) VALUES (:payment, :no, :partner, :outcome, '', now())"
        ),
        {"payment": PAYMENT, "no": attempt_no, "partner": PARTNER_A, "outcome": outcome},
    )


async def refused(conn, work) -> str:
    """The name of the constraint that refuses this."""
    with pytest.raises(IntegrityError) as error:
        async with conn.begin_nested():
            await work
    return constraint_of(error.value)


async def test_no_second_attempt_while_the_first_is_open(conn):
    await attempted(conn, 1)
    assert await refused(conn, attempted(conn, 2)) == "attempt_after_void"


async def test_no_attempt_after_a_delivered_one(conn):
    await attempted(conn, 1)
    await ended(conn, 1, "post")
    assert await refused(conn, attempted(conn, 2)) == "attempt_after_void"
    assert await refused(conn, attempted(conn, 2, after_return=True)) == "attempt_after_return"
    assert (
        await refused(conn, attempted(conn, 1, after_return=True)) == "attempt_first_after_nothing"
    )


async def test_no_second_outcome_not_even_the_same(conn):
    await attempted(conn, 1)
    await ended(conn, 1, "void")
    for outcome in ("post", "void"):
        assert await refused(conn, ended(conn, 1, outcome)) == "outcome_pkey"


async def test_no_number_is_skipped_and_none_is_used_twice(conn):
    assert await refused(conn, attempted(conn, 2)) == "attempt_after_void"
    assert await refused(conn, attempted(conn, 0)) == "attempt_no_positive"
    await attempted(conn, 1)
    again = attempted(conn, 1, end_to_end_id="another")
    assert await refused(conn, again) == "attempt_pkey"
    await ended(conn, 1, "void")
    assert await refused(conn, attempted(conn, 3)) == "attempt_after_void"
    await attempted(conn, 2)
    same_id = attempted(conn, 3, end_to_end_id="E2E-2")
    assert await refused(conn, same_id) in {"attempt_after_void", "attempt_end_to_end_id_once"}


async def test_no_outcome_without_an_attempt(conn):
    assert await refused(conn, ended(conn, 1, "void")) == "outcome_of_attempt"


async def test_a_void_of_somebody_else_opens_no_attempt(conn):
    await attempted(conn, 1)
    await ended(conn, 1, "void")
    await db.set_facts(conn, actor(PARTNER_B))
    theirs = attempted(conn, 2, partner=PARTNER_B)
    assert await refused(conn, theirs) == "attempt_after_void"


async def test_nobody_writes_an_attempt_for_another_organisation(conn):
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await attempted(conn, 1, partner=PARTNER_B)
