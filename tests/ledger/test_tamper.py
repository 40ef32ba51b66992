"""What a superuser changes behind the ledger's back, and what verification says of it."""

from uuid import uuid4

import pytest

from ledger.attempt import Giveback
from ledger.attempts import record_returns
from ledger.transfer import reversal
from tests.conftest import PARTNER_A
from tests.ledger.books import AT, DAY, attempt, ended, opened, posted, step, tried
from tests.ledger.test_seal import faults, history, sealed, verified


@pytest.mark.parametrize(
    ("attack", "seen"),
    [
        pytest.param(
            "UPDATE ledger.transfer SET amount_minor = 99 WHERE transfer_id ="
            " (SELECT sealed_id FROM ledger.leaf WHERE leaf_no = 7)",
            {"leaf_differs", "root_differs", "balance_differs"},
            id="edited amount",
        ),
        pytest.param(
            "INSERT INTO ledger.transfer (transfer_id, entry_id, partner_id, kind, debit_account,"
            " credit_account, currency, amount_minor, effective_on, posted_at, actor_id, xid)"
            " SELECT gen_random_uuid(), entry_id, partner_id, kind, debit_account, credit_account,"
            " currency, 1, effective_on, posted_at, actor_id, '3' FROM ledger.transfer"
            " WHERE kind = 'fund' LIMIT 1",
            {"transfer_unsealed", "balance_differs"},
            id="inserted behind the seal",
        ),
        pytest.param(
            "UPDATE ledger.leaf SET salt = substring(sha256('x') FOR 16) WHERE leaf_no = 3",
            {"leaf_differs", "root_differs"},
            id="another salt",
        ),
        pytest.param(
            "UPDATE ledger.leaf SET leaf_hash = sha256('x') WHERE leaf_no = 3",
            {"leaf_differs"},
            id="another leaf hash",
        ),
        pytest.param(
            "DELETE FROM ledger.transfer WHERE transfer_id IN"
            " (SELECT sealed_id FROM ledger.leaf WHERE leaf_no > 12);"
            "DELETE FROM ledger.leaf WHERE leaf_no > 12",
            {"leaves_deleted", "checkpoint_beyond_leaves", "balance_differs"},
            id="deleted tail",
        ),
        pytest.param(
            "DELETE FROM ledger.transfer WHERE transfer_id ="
            " (SELECT sealed_id FROM ledger.leaf WHERE leaf_no = 8)",
            {"transfer_missing", "balance_differs"},
            id="deleted transfer",
        ),
        pytest.param(
            "DELETE FROM ledger.leaf WHERE leaf_no = 8",
            {"leaf_gap", "root_differs", "transfer_unsealed"},
            id="deleted leaf",
        ),
        pytest.param(
            "UPDATE ledger.leaf SET leaf_no = CASE leaf_no WHEN 5 THEN -6 ELSE -5 END"
            " WHERE leaf_no IN (5, 6);"
            "UPDATE ledger.leaf SET leaf_no = CASE leaf_no WHEN -6 THEN 6 ELSE 5 END"
            " WHERE leaf_no < 0",
            {"leaf_out_of_order", "root_differs"},
            id="reordered",
        ),
        pytest.param(
            "UPDATE ledger.checkpoint SET root = sha256('x') WHERE size = 10",
            {"checkpoint_differs", "root_differs"},
            id="another root",
        ),
        pytest.param(
            "UPDATE ledger.checkpoint SET note = replace(note, E'\\n10\\n', E'\\n9\\n')"
            " WHERE size = 10",
            {"checkpoint_unsigned"},
            id="edited note",
        ),
        pytest.param(
            "DELETE FROM ledger.checkpoint WHERE size = 15", {"leaves_unsigned"}, id="no checkpoint"
        ),
        pytest.param(
            "UPDATE ledger.checkpoint SET peaks = sha256('x') || sha256('y') WHERE size = 10",
            {"peaks_differ"},
            id="other peaks",
        ),
        pytest.param(
            "UPDATE ledger.account SET floor_minor = NULL WHERE code = 'test/bank'",
            {"account_renamed"},
            id="floor taken away",
        ),
        pytest.param(
            "DELETE FROM ledger.attempt WHERE attempt_no = 1 AND amount_minor = 10;"
            "DELETE FROM ledger.outcome WHERE outcome = 'post';"
            "DELETE FROM ledger.transfer WHERE kind = 'post'",
            {"attempt_amount_differs", "transfer_missing", "balance_differs"},
            id="attempt in flight removed",
        ),
        pytest.param(
            "UPDATE ledger.delta SET partner_id = gen_random_uuid()",
            {"balance_differs"},
            id="balances of another organisation",
        ),
        pytest.param(
            "UPDATE ledger.delta SET posted_at = posted_at - interval '1 year'",
            {"balance_differs"},
            id="balances known earlier",
        ),
        pytest.param(
            "INSERT INTO ledger.outcome (payment_id, attempt_no, partner_id, outcome, reason,"
            " decided_at) SELECT payment_id, attempt_no, partner_id, 'void', '', opened_at"
            " FROM ledger.attempt WHERE attempt_no = 2",
            {"outcome_not_booked"},
            id="invented void",
        ),
        pytest.param(
            "UPDATE ledger.delta SET debit_minor = debit_minor + 1 WHERE debit_minor > 0",
            {"balance_differs"},
            id="edited balances",
        ),
        pytest.param(
            "UPDATE ledger.outcome SET outcome = 'post' WHERE outcome = 'void'",
            {
                *("attempt_without_void", "attempt_after_delivery"),
                *("booked_without_outcome", "outcome_not_booked"),
            },
            id="void made delivered",
        ),
        pytest.param(
            "DELETE FROM ledger.attempt WHERE attempt_no = 1",
            {"outcome_without_attempt", "booked_without_outcome", "attempt_amount_differs"},
            id="deleted attempts",
        ),
        pytest.param(
            "ALTER TABLE ledger.outcome DROP CONSTRAINT outcome_pkey;"
            "INSERT INTO ledger.outcome (payment_id, attempt_no, partner_id, outcome, reason,"
            " decided_at) SELECT payment_id, attempt_no, partner_id, 'void', '', decided_at"
            " FROM ledger.outcome WHERE outcome = 'post'",
            {"outcome_twice", "booked_without_outcome", "outcome_not_booked"},
            id="second outcome",
        ),
        pytest.param(
            "UPDATE ledger.account SET code = 'test/aside' WHERE code = 'test/donor';"
            "UPDATE ledger.account SET code = 'test/donor' WHERE code = 'test/delivered';"
            "UPDATE ledger.account SET code = 'test/delivered' WHERE code = 'test/aside'",
            {"account_renamed"},
            id="swapped account codes",
        ),
        pytest.param(
            "UPDATE ledger.account SET currency = 'ZZZ' WHERE code = 'test/donor'",
            {"account_renamed", "account_differs"},
            id="another currency of an account",
        ),
        pytest.param(
            "UPDATE ledger.attempt SET amount_minor = amount_minor * 2 WHERE amount_minor = 10",
            {"attempt_amount_differs", "booked_without_outcome"},
            id="doubled attempt",
        ),
        pytest.param(
            "UPDATE ledger.attempt SET currency = 'USD' WHERE amount_minor = 10",
            {"attempt_amount_differs", "booked_without_outcome"},
            id="another currency of an attempt",
        ),
        pytest.param(
            "INSERT INTO ledger.giveback (payment_id, attempt_no, partner_id, reason, recorded_at)"
            " SELECT payment_id, attempt_no, partner_id, '', decided_at FROM ledger.outcome"
            " WHERE outcome = 'post'",
            {"giveback_without_reversal"},
            id="invented return",
        ),
    ],
)
async def test_tampering_is_seen(own, attack, seen):
    await history(own)
    assert (await verified(own)).whole
    if "leaf_no = CASE" in attack:
        attack = "ALTER TABLE ledger.leaf DROP CONSTRAINT leaf_no_not_negative;" + attack
    await own.tamper(*attack.split(";"))
    assert faults(await verified(own)) == seen


async def test_a_return_whose_fact_was_deleted_is_seen(own):
    payment = uuid4()
    back = Giveback(payment_id=payment, attempt_no=1, reason="MD07")
    booked = step("post", payment, 10)
    async with own.begin() as conn:
        await opened(conn, grant=100)
        await tried(conn, attempt(payment, 10))
        await posted(conn, step("reserve", payment, 10))
        await ended(conn, payment, "post")
        await posted(conn, booked)
        await record_returns(conn, [back], partner_id=PARTNER_A, at=AT)
        await posted(conn, reversal(booked, entry_id=payment, effective_on=DAY))
    await sealed(own)
    assert (await verified(own)).whole
    await own.tamper("DELETE FROM ledger.giveback")
    assert faults(await verified(own)) == {"reversal_without_giveback"}
