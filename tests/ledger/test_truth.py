"""Ten thousand payments against a bank's files with every kind of difference in them."""

from collections import Counter
from hashlib import sha256
from random import Random
from uuid import UUID

import msgspec
import pytest

from bench.statements import OF_NONE, OF_PAYMENT, Bank, Paid
from ledger.attempt import Outcome
from ledger.attempts import record_outcomes, record_payees
from ledger.formats.read import read
from ledger.ingest import ingest
from tests.conftest import PARTNER_A
from tests.ledger.books import ACTOR, AT, DAY, attempt, tried
from tests.ledger.test_reconcile import reconciled

LATE = 9  # days: silence is a break by then


def payments(seed: int, many: int):
    rng = Random(seed)
    return [
        attempt(UUID(int=rng.getrandbits(128)), rng.choice((30_000, 42_000, 53_000, 61_000)))
        for _ in range(many)
    ]


async def files_in(conn, files):
    for file in files:
        made = read(file)
        # As the programme keeps them: an account by its token alone.
        lines = [msgspec.structs.replace(one, account_token=one.account) for one in made.lines]
        made = msgspec.structs.replace(made, lines=tuple(lines))
        await ingest(
            conn,
            made,
            file_digest=sha256(file).digest(),
            account_token=made.account and "token",
            sealed=b"sealed bytes",
            wrapped_key=b"wrapped",
            partner_id=PARTNER_A,
            at=AT,
            actor_id=ACTOR,
        )


async def played(conn, seed: int, many: int, *, shuffled: bool = False):
    """Pay so many, let the bank tell of it, reconcile: the bank with its truth, and the result."""
    sent = payments(seed, many)
    for start in range(0, many, 5_000):
        await tried(conn, *sent[start : start + 5_000])
    payees = {(one.payment_id, 1): "the payee's own" for one in sent}
    await record_payees(conn, payees, partner_id=PARTNER_A)
    bank = Bank(
        [Paid(one.end_to_end_id, one.money.amount_minor) for one in sent], seed=seed, on=DAY
    )
    by_id = {one.end_to_end_id: one for one in sent}
    files = [b"".join(bank.statement()), bank.rejections(earlier=False), *bank.more_statements()]
    if shuffled:
        Random(seed).shuffle(files)
    voided = [
        Outcome(
            payment_id=by_id[one].payment_id,
            attempt_no=1,
            outcome="void",
            reason="AC04",
        )
        for one in sorted(bank.truth.voided)
    ]
    await record_outcomes(conn, voided, partner_id=PARTNER_A, at=AT)
    await files_in(conn, files)
    return bank, await reconciled(conn, days=LATE, page=4_000)


def told(found) -> Counter:
    return Counter(
        (one.kind, "" if one.statement_id is not None else one.end_to_end_id)
        for one in found.breaks
    )


def truth_of(bank) -> Counter:
    return Counter((kind, each) for kind, ids in bank.truth.by_kind.items() for each in ids)


async def test_every_injected_break_is_named_exactly_and_nothing_is_matched_wrongly(conn):
    bank, found = await played(conn, seed=20_261_129, many=10_000)
    assert set(bank.truth.by_kind) >= {*OF_PAYMENT, *OF_NONE}
    assert told(found) == truth_of(bank)
    delivered = {one.end_to_end_id for one in found.allocations if one.claim == "statement"}
    assert delivered == bank.truth.plain
    assert all(one.claim == "statement" for one in found.allocations)


@pytest.mark.parametrize("seed", range(1, 7))
async def test_the_order_of_files_and_the_numbers_drawn_change_nothing(conn, seed):
    bank, found = await played(conn, seed=seed, many=300, shuffled=True)
    assert told(found) == truth_of(bank)
    assert sorted(bank.truth.plain) == sorted(one.end_to_end_id for one in found.allocations)
