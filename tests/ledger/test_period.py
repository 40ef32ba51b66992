"""Closed periods, late items, and balances as of any day and moment."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ledger import trial
from ledger.close import close_period, closed_periods
from ledger.period import digest, trial_bytes
from ledger.post import post
from ledger.refusal import PeriodOutOfOrder
from ledger.transfer import reversal
from ledger.violation import constraint_of
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import ACTOR, BANK, DAY, DONOR, draw, fund, opened, posted
from tests.ledger.test_book_sql import refused
from tests.ledger.test_seal import faults, history, sealed, verified

MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 30)
CLOSING = datetime(2026, 5, 4, 9, tzinfo=UTC)


def on(day: date, amount_minor: int):
    name = f"{day} {amount_minor}"
    return msgspec.structs.replace(fund(amount_minor, name), effective_on=day)


async def closed(conn, until: date = MARCH, partner_id=PARTNER_A):
    return await close_period(conn, until=until, partner_id=partner_id, actor_id=ACTOR, at=CLOSING)


def said(period) -> dict[str, int]:
    return {row.code: row.balance_minor for row in period.trial}


async def balance(conn, **when) -> int:
    (row,) = await trial.trial_balance(conn, accounts=[BANK], **when)
    return row.balance_minor


async def test_a_late_item_is_booked_in_the_open_period_and_keeps_its_value_date(conn):
    await opened(conn)
    await posted(conn, on(MARCH, 100))
    await closed(conn)
    assert await posted(conn, on(MARCH, 7), on(APRIL, 11)) == 2
    rows = await conn.execute(
        text("SELECT amount_minor, effective_on, booked_on FROM ledger.transfer ORDER BY 1")
    )
    first = MARCH + timedelta(days=1)
    assert [tuple(row) for row in rows] == [
        (7, MARCH, first),
        (11, APRIL, None),
        (100, MARCH, None),
    ]
    assert await balance(conn, as_of=MARCH) == 107
    assert await balance(conn, booked_until=MARCH) == 100
    assert await balance(conn, booked_until=first) == 107
    assert await balance(conn) == 118
    # Posting the same again is no news, whichever period is open by now.
    await closed(conn, APRIL)
    assert await posted(conn, on(MARCH, 100), on(MARCH, 7), on(APRIL, 11)) == 0


async def test_what_was_known_at_a_moment_stays_known(conn):
    await opened(conn)
    for hour, minor in ((9, 100), (11, 10)):
        at = datetime(2026, 3, 2, hour, tzinfo=UTC)
        await post(conn, [on(DAY, minor)], partner_id=PARTNER_A, at=at, actor_id=ACTOR)
    assert await balance(conn, known_at=datetime(2026, 3, 2, 10, tzinfo=UTC)) == 100
    assert await balance(conn, known_at=datetime(2026, 3, 2, 11, tzinfo=UTC)) == 110
    assert await balance(conn, known_at=datetime(2026, 3, 1, tzinfo=UTC)) == 0
    late = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert await balance(conn, known_at=late, as_of=DAY - timedelta(days=1)) == 0


async def test_a_period_is_what_its_trial_balance_says_and_closing_again_is_no_news(conn):
    await opened(conn)
    await posted(conn, on(MARCH, 100), on(APRIL, 11))
    period = await closed(conn)
    assert {row.code: row.balance_minor for row in period.trial} == {
        BANK.code: 100,
        DONOR.code: 100,
    }
    assert period.sha256 == digest(trial_bytes(MARCH, period.trial)).hex()
    assert await closed(conn) == period
    april = await closed(conn, APRIL)
    assert said(april) == {BANK.code: 111, DONOR.code: 111}
    listed = await closed_periods(conn, partner_id=PARTNER_A, since=date(2026, 1, 1), limit=10)
    assert listed == [period, april]


@pytest.mark.parametrize("until", [MARCH, date(2026, 2, 28), CLOSING.date()])
async def test_no_period_is_closed_before_it_is_over_or_under_a_closed_one(conn, until):
    await opened(conn)
    await closed(conn, APRIL)
    with pytest.raises(PeriodOutOfOrder):
        await closed(conn, until)


async def test_in_plain_sql_nothing_is_booked_in_a_closed_period(conn):
    await opened(conn)
    await closed(conn)
    assert await refused(conn, {"effective_on": "date '2026-03-31'"}) == "transfer_in_open_period"
    late = {"effective_on": "date '2026-02-01'", "booked_on": "date '2026-03-31'"}
    assert await refused(conn, {}, late) == "transfer_in_open_period"


async def test_no_period_is_closed_in_the_future_by_saying_when(conn):
    far = datetime(2998, 1, 1, tzinfo=UTC)
    with pytest.raises(PeriodOutOfOrder):
        await close_period(
            conn, until=date(2997, 1, 1), partner_id=PARTNER_A, actor_id=ACTOR, at=far
        )


async def test_a_closed_period_of_one_organisation_is_open_for_another(conn):
    await opened(conn)
    await closed(conn, partner_id=PARTNER_A)
    periods = await closed_periods(conn, partner_id=PARTNER_B, since=MARCH, limit=10)
    assert periods == []


async def test_in_plain_sql_no_period_says_what_its_digest_does_not(conn):
    digest_id = uuid4()
    facts = {"id": digest_id, "partner": PARTNER_A, "actor": ACTOR}
    await conn.execute(
        text(
            "INSERT INTO ledger.digest (digest_id, partner_id, subject, sha256, made_at, actor_id)"
            " VALUES (:id, :partner, 'period', sha256('x'), now(), :actor)"
        ),
        facts,
    )
    lying = text(
        "INSERT INTO ledger.period (partner_id, until, trial, digest_id, closed_at, actor_id)"
        " VALUES (:partner, '2026-03-31', 'y', :id, '2026-05-04', :actor)"
    )
    with pytest.raises(IntegrityError) as error:
        async with conn.begin_nested():
            await conn.execute(lying, facts)
    assert constraint_of(error.value) == "period_sealed"


async def test_a_reversal_of_what_a_closed_period_holds_is_late_and_leaves_it_alone(own):
    grant = on(MARCH, 100)
    async with own.begin() as conn:
        await opened(conn)
        await posted(conn, grant)
        await closed(conn)
        await posted(conn, reversal(grant, entry_id=uuid4(), effective_on=MARCH))
        assert await balance(conn, booked_until=MARCH) == 100
        assert await balance(conn) == 0
    await sealed(own)
    assert (await verified(own)).whole


async def test_who_closes_waits_for_who_books_and_leaves_nothing_out(own):
    async with own.begin() as conn:
        await opened(conn)
    booked, may_end = asyncio.Event(), asyncio.Event()

    async def book() -> None:
        async with own.begin() as conn:
            await posted(conn, on(MARCH, 100))
            booked.set()
            await may_end.wait()

    async def close():
        await booked.wait()
        async with own.begin() as conn:
            return await closed(conn)

    async def release() -> None:
        await booked.wait()
        await waiting(own)
        may_end.set()

    _, period, _ = await asyncio.gather(book(), close(), release())
    assert {row.code for row in period.trial} == {BANK.code, DONOR.code}


async def test_who_books_while_a_period_is_being_closed_sends_the_same_again(own):
    async with own.begin() as conn:
        await opened(conn)
    closing, may_end = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        async with own.begin() as conn:
            await closed(conn)
            closing.set()
            await may_end.wait()

    async def book() -> str:
        await closing.wait()
        try:
            async with own.begin() as conn:
                await posted(conn, on(MARCH, 100))
        except Exception as refused:  # noqa: BLE001 -- its name is what is asked for
            return type(refused).__name__
        return "booked"

    async def release() -> None:
        await closing.wait()
        await waiting(own)
        may_end.set()

    _, answer, _ = await asyncio.gather(close(), book(), release())
    assert answer == "PeriodJustClosed"
    async with own.begin() as conn:
        assert await posted(conn, on(MARCH, 100)) == 1
        assert await balance(conn, booked_until=MARCH) == 0


async def waiting(own) -> None:
    """Return when somebody waits for an advisory lock."""
    async with own.owner.connect() as conn:
        for _ in range(2_000):
            found = await conn.scalar(
                text(
                    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                    " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
                )
            )
            if found:
                return
    pytest.fail("nobody waits")


async def test_the_digest_of_a_period_is_sealed_and_the_whole_is_verified(own):
    await history(own)
    async with own.begin() as conn:
        await closed(conn)
        await posted(conn, draw(1))
    await sealed(own)
    found = await verified(own)
    assert found.faults == []
    assert (found.leaves, found.transfers, found.unsealed) == (17, 16, 0)


@pytest.mark.parametrize(
    ("attack", "seen"),
    [
        (
            "UPDATE ledger.period SET trial = overlay(trial PLACING '9' FROM 80)",
            {"period_unsealed", "period_differs"},
        ),
        (
            "UPDATE ledger.digest SET sha256 = sha256('x')",
            {"period_unsealed", "leaf_differs", "root_differs"},
        ),
        (
            "DELETE FROM ledger.period; DELETE FROM ledger.digest",
            {"transfer_missing"},
        ),
        ("DELETE FROM ledger.period", {"period_unsealed"}),
        (
            "UPDATE ledger.transfer SET booked_on = NULL WHERE booked_on IS NOT NULL",
            {
                *("leaf_differs", "root_differs", "balance_differs"),
                "booked_in_closed_period",
            },
        ),
    ],
    ids=["trial balance", "digest", "period and digest", "period", "late item moved back"],
)
async def test_a_closed_period_that_was_changed_is_seen(own, attack, seen):
    await history(own)
    async with own.begin() as conn:
        await closed(conn)
    async with own.begin() as conn:
        await posted(conn, on(MARCH, 5))
    await sealed(own)
    assert (await verified(own)).whole
    await own.tamper(*attack.split(";"))
    assert faults(await verified(own)) == seen


async def test_an_auditor_closes_nobodys_period(own):
    async with own.begin(actor(PARTNER_B, "auditor")) as conn:
        with pytest.raises(Exception, match="row-level security"):
            await closed(conn, partner_id=PARTNER_A)
