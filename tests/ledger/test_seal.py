import asyncio
from base64 import b64encode
from hashlib import shake_128
from itertools import count
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api import db
from ledger import note
from ledger.merkle import root_of
from ledger.post import post
from ledger.seal import seal
from ledger.verify import Verification, verify
from ledger.violation import constraint_of
from tests.conftest import PARTNER_B, actor
from tests.ledger.books import (
    ACTOR,
    AT,
    BOOKS,
    attempt,
    ended,
    fund,
    opened,
    posted,
    step,
    tried,
)

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "cbi.example/ledger"
SEALER = actor(PARTNER_B, "auditor", "sealer")
ONE, OTHER = (
    f"(SELECT transfer_id FROM ledger.transfer ORDER BY 1 OFFSET {n} LIMIT 1)" for n in (0, 1)
)


async def sealed(own, limit=10_000):
    async with own.begin(SEALER) as conn:
        return await sealed_by(conn, limit)


async def sealed_by(conn, limit=10_000):
    numbers = count(1)
    return await seal(
        conn,
        signer=SIGNER,
        name=NAME,
        at=AT,
        limit=limit,
        random=lambda size: shake_128(str(next(numbers)).encode()).digest(size),
    )


async def verified(own, *kept: str) -> Verification:
    async with db.snapshot(own.app, SEALER) as conn:
        return await verify(conn, public_key=SIGNER.public_key(), name=NAME, kept=kept)


def faults(found: Verification) -> set[str]:
    assert found.whole == (not found.faults)
    return {fault.kind for fault in found.faults}


async def history(own, seals=3) -> list[str]:
    """Five transfers before each seal, one payment delivered, one voided and tried again."""
    delivered, voided = uuid4(), uuid4()
    notes = []
    for n in range(seals):
        async with own.begin() as conn:
            await opened(conn)
            await posted(conn, fund(100, f"grant {n}"))
            if n == 0:
                await tried(conn, attempt(delivered, 10), attempt(voided, 20))
                await posted(conn, step("reserve", delivered, 10), step("reserve", voided, 20))
                await ended(conn, delivered, "post")
                await ended(conn, voided, "void")
                await posted(conn, step("post", delivered, 10), step("void", voided, 20))
                await tried(conn, attempt(voided, 20, 2))
            else:
                await posted(conn, *(fund(m + 1, f"gift {n} {m}") for m in range(4)))
        notes.append((await sealed(own)).note)
    return notes


async def test_what_was_committed_is_sealed_once_and_verified(own):
    assert await sealed(own) is None
    await history(own)
    assert await sealed(own) is None
    found = await verified(own)
    assert found.faults == []
    assert (found.transfers, found.leaves, found.checkpoint_size, found.unsealed) == (15, 15, 15, 0)


async def test_a_checkpoint_is_a_signed_note_that_stands_alone(own):
    await history(own)
    async with own.owner.connect() as conn:
        leaves = list(
            (
                await conn.execute(text("SELECT leaf_hash FROM ledger.leaf ORDER BY leaf_no"))
            ).scalars()
        )
        kept = (await conn.execute(text("SELECT note FROM ledger.checkpoint ORDER BY size"))).all()
    root = root_of(leaves)
    assert kept[-1].note.startswith(f"{NAME}\n15\n{b64encode(root).decode()}\n\n— {NAME} ")
    said = note.read_checkpoint(kept[-1].note, public_key=SIGNER.public_key(), name=NAME)
    assert (said.size, said.root) == (15, root)


async def test_sealing_in_small_steps_gives_the_same_log(own):
    await history(own, seals=1)
    async with own.begin() as conn:
        await posted(conn, *(fund(1, n) for n in range(10)))
    while await sealed(own, limit=3):
        pass
    found = await verified(own)
    assert found.whole
    assert found.leaves == 15


async def test_a_transaction_that_is_still_open_holds_the_seal_back_behind_it(own):
    async with own.begin() as conn:
        await opened(conn)
    async with own.begin() as slow:
        await posted(slow, fund(1, "slow"))
        async with own.begin() as quick:
            await posted(quick, fund(2, "quick"))
        # `quick` is committed, but `slow` came first and is not there yet.
        assert await sealed(own) is None
        assert (await verified(own)).unsealed == 1
    assert (await sealed(own)).size == 2
    assert (await verified(own)).whole


async def test_two_sealers_at_once_take_turns(own):
    async with own.begin() as conn:
        await opened(conn)
        await posted(conn, *(fund(1, n) for n in range(500)))
    await asyncio.gather(*(sealed(own, limit=150) for _ in range(5)))
    found = await verified(own)
    assert found.whole
    assert found.leaves == 500


async def test_posting_while_sealing_loses_no_transfer(own):
    async with own.begin() as conn:
        await opened(conn)

    async def write(writer) -> None:
        for n in range(10):
            async with own.begin() as conn:
                await posted(conn, *(fund(1, (writer, n, m)) for m in range(5)))

    async def keep_sealing() -> None:
        for _ in range(15):
            await sealed(own)
            await asyncio.sleep(0.005)

    await asyncio.gather(*(write(writer) for writer in range(4)), keep_sealing())
    await sealed(own)
    found = await verified(own)
    assert found.whole
    assert (found.leaves, found.unsealed) == (200, 0)


async def test_every_page_of_accounts_is_recomputed(own, monkeypatch):
    monkeypatch.setattr("ledger.verify.PAGE", 1)
    await history(own, seals=1)
    assert (await verified(own)).whole
    await own.tamper("UPDATE ledger.account SET code = code || '/x'")
    found = await verified(own)
    assert [fault.kind for fault in found.faults] == ["account_renamed"] * len(BOOKS)


async def test_a_tail_cut_off_with_its_checkpoint_is_seen_by_who_kept_it(own):
    kept = await history(own)
    assert (await verified(own, *kept)).whole
    await own.tamper(
        "DELETE FROM ledger.delta WHERE batch_id IN"
        " (SELECT sealed_id FROM ledger.leaf WHERE leaf_no >= 10)",
        "DELETE FROM ledger.transfer WHERE transfer_id IN"
        " (SELECT sealed_id FROM ledger.leaf WHERE leaf_no >= 10)",
        "DELETE FROM ledger.leaf WHERE leaf_no >= 10",
        "DELETE FROM ledger.checkpoint WHERE size > 10",
    )
    assert (await verified(own)).whole
    assert faults(await verified(own, *kept)) == {"kept_checkpoint_ahead"}


async def test_a_history_written_anew_is_seen_by_who_kept_a_checkpoint(own):
    kept = await history(own)
    forged = note.checkpoint(10, bytes(32), signer=SIGNER, name=NAME).note
    assert faults(await verified(own, forged)) == {"kept_checkpoint_differs"}
    assert faults(await verified(own, forged, kept[1])) >= {"kept_checkpoints_fork"}
    assert faults(await verified(own, "no note")) == {"kept_checkpoint_unsigned"}


async def test_a_sealer_of_another_organisation_seals_all_and_leaves_say_nothing(own):
    await history(own, seals=1)
    async with own.begin(actor(PARTNER_B)) as conn:
        # Not even the salts, which hide it.
        assert (await conn.execute(text("SELECT * FROM ledger.leaf"))).all() == []
        hashes = await conn.scalars(text("SELECT leaf_hash FROM ledger.leaf_hashes(0, 100)"))
        assert len(hashes.all()) == 5
        assert (await conn.execute(text("SELECT count(*) FROM ledger.transfer"))).scalar_one() == 0
        assert await post(conn, [], partner_id=PARTNER_B, at=AT, actor_id=ACTOR) == 0


@pytest.mark.parametrize(
    ("leaves", "constraint"),
    [
        (f"(0, {ONE}), (1, {OTHER})", ""),
        (f"(1, {ONE})", "leaf_follows"),
        (f"(0, {ONE}), (2, {OTHER})", "leaf_follows"),
        ("(0, gen_random_uuid())", "leaf_of_transfer"),
    ],
)
async def test_no_leaf_leaves_a_gap_or_stands_for_nothing(own, leaves, constraint):
    async with own.begin() as conn:
        await opened(conn)
        await posted(conn, fund(1, "one"), fund(1, "two"))
    statement = (
        "INSERT INTO ledger.leaf (leaf_no, sealed_id, salt, leaf_hash)"
        " SELECT n, id, substring(sha256('s') FOR 16), sha256('l')"
        f" FROM (VALUES {leaves}) v (n, id)"
    )
    # The sealer, and a superuser whose session skips ordinary triggers.
    for engine, before in ((own.app, ""), (own.owner, "SET session_replication_role = replica")):
        async with engine.connect() as conn, conn.begin() as outer:
            await db.set_facts(conn, SEALER)
            if before:
                await conn.execute(text(before))
            try:
                await conn.execute(text(statement))
                said = ""
            except IntegrityError as error:
                said = constraint_of(error)
            assert said == constraint
            await outer.rollback()


async def test_what_is_sealed_during_a_walk_is_no_fault_of_the_log(own):
    async with own.begin() as conn:
        await opened(conn)
        await posted(conn, *(fund(1, n) for n in range(300)))
    await sealed(own, limit=200)
    async with own.owner.begin() as sealing:
        await db.set_facts(sealing, SEALER)
        # The walk has read how far the log goes when it comes to the marks, and waits there.
        await sealing.execute(text("LOCK TABLE ledger.mark"))
        walk = asyncio.create_task(verified(own))
        while not await sealing.scalar(WAITED_FOR):
            assert not walk.done()
        assert await sealed_by(sealing)
    found = await walk
    assert (faults(found), found.leaves, found.unsealed) == (set(), 200, 100)
    assert (await verified(own)).leaves == 300


WAITED_FOR = text(
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ledger.mark'::regclass"
)
