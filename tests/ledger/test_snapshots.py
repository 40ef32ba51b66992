"""Balances as snapshots and what came since."""

import asyncio

import pytest
from sqlalchemy import text

from ledger.post import balances
from ledger.refusal import InsufficientFunds
from tests.ledger.books import BANK, DONOR, RESERVED, draw, fund, opened, posted
from tests.ledger.test_seal import faults, sealed, verified


@pytest.fixture(autouse=True)
async def few(own):
    async with own.owner.begin() as conn:
        await conn.execute(
            text(
                "CREATE OR REPLACE FUNCTION ledger.deltas_max() RETURNS integer LANGUAGE sql"
                " IMMUTABLE RETURN 5"
            )
        )


async def drawn(own, count: int) -> None:
    """So many payments reserved, each in a transaction of its own."""
    for _ in range(count):
        async with own.begin() as conn:
            await posted(conn, draw(1))


async def snapshots(own) -> list[tuple[int, int]]:
    async with own.owner.connect() as conn:
        rows = await conn.execute(
            text(
                "SELECT debit_minor, credit_minor FROM ledger.snapshot"
                " WHERE account_id = :bank ORDER BY below"
            ),
            {"bank": BANK.account_id},
        )
        return [tuple(row) for row in rows]


async def test_a_busy_account_is_summed_up_and_its_balance_stays(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)
    await drawn(own, 20)
    taken = await snapshots(own)
    assert len(taken) >= 2
    assert taken == sorted(taken)
    assert taken[-1][0] == 100
    async with own.begin() as conn:
        found = await balances(conn, [BANK, RESERVED, DONOR])
        assert list(found.values()) == [80, 20, 100]
    await sealed(own)
    assert (await verified(own)).whole


async def test_the_floor_holds_behind_snapshots_with_four_at_once(own):
    async with own.begin() as conn:
        await opened(conn, grant=30)
    refused = []

    async def several(times: int) -> None:
        for _ in range(times):
            try:
                async with own.begin() as conn:
                    await posted(conn, draw(1))
            except InsufficientFunds:
                refused.append(1)

    await asyncio.gather(*(several(12) for _ in range(4)))
    assert len(refused) == 4 * 12 - 30
    assert len(await snapshots(own)) >= 2
    async with own.begin() as conn:
        assert (await balances(conn, [BANK]))[BANK.account_id] == 0
    assert (await verified(own)).whole


async def test_a_transaction_that_is_still_open_is_in_no_snapshot(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)
    async with own.begin() as slow:
        await posted(slow, fund(7, "slow"))
        await drawn(own, 12)
    async with own.begin() as conn:
        assert (await balances(conn, [BANK]))[BANK.account_id] == 95
    await drawn(own, 12)
    async with own.begin() as conn:
        assert (await balances(conn, [BANK]))[BANK.account_id] == 83
    assert (await verified(own)).whole


async def test_a_snapshot_that_was_changed_is_seen(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)
    await drawn(own, 10)
    await sealed(own)
    assert (await verified(own)).whole
    await own.tamper("UPDATE ledger.snapshot SET debit_minor = debit_minor + 1")
    assert faults(await verified(own)) == {"snapshot_differs"}
