"""Receipts and proofs: from the database, checked by what has no database."""

import asyncio
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from random import Random
from uuid import uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from ledger import note, prove, receipt
from ledger.merkle import consistency_proof, extends, inclusion_proof, root_of
from ledger.receipt import NotProved, PeriodReceipt, Receipt, check, check_period
from ledger.refusal import CheckpointUnknown, NotSealed
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import attempt, ended, fund, opened, posted, step, tried
from tests.ledger.test_period import MARCH
from tests.ledger.test_period import closed as close_march
from tests.ledger.test_seal import NAME, SIGNER, faults, history, sealed, verified

ROOT = Path(__file__).parents[2]
KEY = note.verifier_key(NAME, SIGNER.public_key())
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


async def many(own, *, leaves: int, by: int) -> list[bytes]:
    """Seal so many transfers, so many at a time; returns the leaves' hashes."""
    async with own.begin() as conn:
        await opened(conn)
        await posted(conn, *(fund(1, n) for n in range(leaves)))
    while await sealed(own, limit=by):
        pass
    async with own.owner.connect() as conn:
        found = await conn.scalars(text("SELECT leaf_hash FROM ledger.leaf ORDER BY leaf_no"))
        return list(found)


async def paid(own) -> Receipt:
    """One payment, delivered and sealed among others; returns its receipt."""
    payment = uuid4()
    async with own.begin() as conn:
        await opened(conn, grant=100)
        await tried(conn, attempt(payment, 10))
        await posted(conn, step("reserve", payment, 10), *(fund(1, n) for n in range(20)))
        await ended(conn, payment, "post")
        await posted(conn, step("post", payment, 10))
    await sealed(own)
    async with own.begin() as conn:
        return await prove.receipt(conn, payment)


async def test_proofs_from_marks_are_those_of_the_whole_log(own):
    leaves = await many(own, leaves=700, by=90)
    chance = Random(5)
    async with own.begin() as conn:
        for leaf_no in (0, 255, 256, 511, 512, 699, *chance.sample(range(700), 10)):
            path = prove.inclusion_path(700, leaf_no)
            found = [await prove.subtree_root(conn, one) for one in path]
            assert found == inclusion_proof(leaves, leaf_no)
        for old in (90, 270, 630, 700):
            way = await prove.consistency(conn, old, 700)
            assert (way.old_size, way.new_size) == (old, 700)
            proof = [bytes.fromhex(one) for one in way.proof]
            assert proof == consistency_proof(leaves, old)
            assert extends(root_of(leaves[:old]), old, root_of(leaves), 700, proof)
        for old, new in ((91, 700), (700, 90), (700, 800)):
            with pytest.raises(CheckpointUnknown):
                await prove.consistency(conn, old, new)


async def test_marks_are_verified_and_made_again_for_a_log_that_had_none(own):
    await many(own, leaves=600, by=500)
    assert (await verified(own)).whole
    for attack in (
        "UPDATE ledger.mark SET root = sha256('x') WHERE place = 1",
        "DELETE FROM ledger.mark WHERE place = 0",
    ):
        await own.tamper(attack)
        assert faults(await verified(own)) == {"mark_differs"}
    await own.tamper("INSERT INTO ledger.mark VALUES (8, 7, sha256('x'))")
    assert faults(await verified(own)) == {"mark_differs", "mark_beyond_leaves"}
    await own.tamper("DELETE FROM ledger.mark", again())
    assert (await verified(own)).whole
    async with own.owner.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM ledger.mark")) == 2


def again() -> str:
    """The part of the migration that makes marks of what was sealed before."""
    sql = (ROOT / "migrations/versions/0010_marks.sql").read_text()
    return sql[sql.index("DO $$") : sql.index("END $$;")].replace(":=", "\\:=") + "END $$"


async def test_a_receipt_proves_every_sealed_transfer_of_its_payment(own):
    found = await paid(own)
    proved = check(found, KEY)
    told = {(one.kind, one.amount_minor) for one in proved.transfers}
    assert told == {("reserve", 10), ("post", 10)}
    assert (proved.payment_id, proved.size, proved.signed_by) == (found.payment_id, 23, NAME)
    assert check(receipt.read(msgspec.json.encode(found)), KEY) == proved


async def test_nothing_that_was_changed_in_a_receipt_is_proved(own):
    found = await paid(own)
    first, *others = found.openings
    replace = msgspec.structs.replace
    zoneless = first.transfer.posted_at.replace(tzinfo=None)
    bent = [
        replace(first, transfer=replace(first.transfer, amount_minor=11)),
        replace(first, transfer=replace(first.transfer, payment_id=uuid4())),
        replace(first, transfer=replace(first.transfer, posted_at=zoneless)),
        replace(first, leaf_no=first.leaf_no + 1),
        replace(first, leaf_no=-1),
        replace(first, salt="00" * 16),
        replace(first, salt="zz"),
        replace(first, proof=first.proof[:-1]),
        replace(first, proof=(*first.proof, "00" * 32)),
        replace(first, proof=()),
    ]
    for opening in bent:
        with pytest.raises(NotProved):
            check(replace(found, openings=(opening, *others)), KEY)
    size = f"\n{check(found, KEY).size}\n"
    for changed in (
        replace(found, openings=()),
        replace(found, payment_id=uuid4()),
        replace(found, checkpoint=found.checkpoint.replace(size, "\n24\n")),
        replace(found, checkpoint=found.checkpoint.partition("\n\n")[0]),
        replace(found, checkpoint=""),
    ):
        with pytest.raises(NotProved):
            check(changed, KEY)
    for key in (
        note.verifier_key(NAME, OTHER.public_key()),
        note.verifier_key("another.example/log", SIGNER.public_key()),
        note.verifier_key(NAME, SIGNER.public_key(), note.COSIGNATURE),
        KEY[:-6] + "AAAAA=",
        KEY.replace("+", "-"),
        "",
    ):
        with pytest.raises(NotProved):
            check(found, key)


async def test_a_receipt_is_of_ones_own_payments_and_of_what_is_sealed(own):
    found = await paid(own)
    waiting = uuid4()
    async with own.begin() as conn:
        await tried(conn, attempt(waiting, 5))
        await posted(conn, step("reserve", waiting, 5))
        for payment in (waiting, uuid4()):
            with pytest.raises(NotSealed):
                await prove.receipt(conn, payment)
    async with own.begin(actor(PARTNER_B)) as conn:
        with pytest.raises(NotSealed):
            await prove.receipt(conn, found.payment_id)


async def test_before_anything_is_sealed_there_is_no_receipt(own):
    async with own.begin() as conn:
        with pytest.raises(NotSealed):
            await prove.receipt(conn, uuid4())


async def test_a_receipt_is_checked_with_two_files_of_ours_and_nothing_else(own, tmp_path):
    found = await paid(own)
    (tmp_path / "ledger").mkdir()
    for name in ("__init__.py", "merkle.py", "receipt.py"):
        shutil.copy(ROOT / "ledger" / name, tmp_path / "ledger" / name)
    file = tmp_path / "receipt.json"
    file.write_bytes(msgspec.json.encode(found))

    def checked(*words: str) -> subprocess.CompletedProcess[str]:
        # No database, no settings, and not this checkout.
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-P", "-m", "ledger.receipt", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    done = checked(str(file), "--key", KEY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"proved: payment {found.payment_id}, in the log of 23 transfers")
    file.write_bytes(file.read_bytes().replace(b'"amount_minor":10', b'"amount_minor":99'))
    done = checked(str(file), "--key", KEY)
    assert (done.returncode, done.stdout.split(":")[0]) == (1, "NOT PROVED")
    file.write_text("no receipt")
    assert checked(str(file), "--key", KEY).stdout == "NOT PROVED: it is not a receipt\n"
    assert checked(str(file)).returncode == 2
    assert checked(str(tmp_path / "none"), "--key", KEY).returncode == 2


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_receipt_or_refused(content):
    with pytest.raises(NotProved):
        check(receipt.read(content), KEY)


@given(st.text(max_size=200), st.text(max_size=120))
def test_any_checkpoint_and_key_prove_nothing(checkpoint, key):
    empty = Receipt(payment_id=uuid4(), openings=(), checkpoint=checkpoint)
    for vkey in (key, KEY):
        with pytest.raises(NotProved):
            check(empty, vkey)


async def test_the_log_goes_on_where_it_was_with_marks(own):
    await many(own, leaves=300, by=200)
    kept = await history(own, seals=1)
    assert (await verified(own, *kept)).whole


async def closed(own) -> PeriodReceipt:
    """A closed period, sealed among transfers; returns its receipt."""
    await history(own)
    async with own.begin() as conn:
        with pytest.raises(NotSealed):
            await prove.period_receipt(conn, partner_id=PARTNER_A, until=MARCH)
        await close_march(conn)
    async with own.begin() as conn:
        await posted(conn, *(fund(1, n) for n in range(5)))
    await sealed(own)
    async with own.begin() as conn:
        return await prove.period_receipt(conn, partner_id=PARTNER_A, until=MARCH)


async def test_a_period_s_receipt_proves_its_trial_balance_and_nothing_that_was_changed(own):
    found = await closed(own)
    proved = check_period(receipt.read(msgspec.json.encode(found)), KEY)
    assert (proved.until, proved.size, proved.digest.partner_id) == (MARCH, 21, PARTNER_A)
    assert msgspec.json.decode(proved.trial)["until"] == "2026-03-31"
    digest = found.opening.digest
    opening = msgspec.structs.replace
    for changed in (
        opening(found, trial=found.trial.replace("340", "940")),
        opening(found, until=date(2026, 4, 30)),
        opening(found, opening=opening(found.opening, leaf_no=3)),
        opening(found, opening=opening(found.opening, salt="00" * 16)),
        opening(
            found, opening=opening(found.opening, digest=opening(digest, partner_id=PARTNER_B))
        ),
        opening(found, checkpoint=found.checkpoint.replace("21", "22")),
    ):
        with pytest.raises(NotProved):
            check_period(changed, KEY)


async def test_a_period_s_receipt_is_checked_by_the_command(own, tmp_path):
    file = tmp_path / "march.json"
    file.write_bytes(msgspec.json.encode(await closed(own)))
    for key, status, said in ((KEY, 0, "proved: trial balance until 2026-03-31"), (KEY, 1, "NOT")):
        command = [sys.executable, "-m", "ledger.receipt", str(file), "--key", key]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert (done.returncode, done.stdout[: len(said)]) == (status, said), done.stderr
        file.write_bytes(file.read_bytes().replace(b":340", b":940"))


async def test_nobody_gets_the_receipt_of_elses_period(own):
    await closed(own)
    async with own.begin(actor(PARTNER_B)) as conn:
        with pytest.raises(NotSealed):
            await prove.period_receipt(conn, partner_id=PARTNER_A, until=MARCH)
