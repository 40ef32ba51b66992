"""Transfers in plain SQL as the service's own role: the database alone says what a batch may do."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import db
from ledger.account import Account
from ledger.post import balances, open_accounts
from ledger.transfer import move_id
from ledger.violation import constraint_of
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import (
    BANK,
    BOOKS,
    DELIVERED,
    DONOR,
    RESERVED,
    attempt,
    came_back,
    ended,
    opened,
    pen,
)
from tests.ledger.books import tried as opened_attempts
from tests.ledger.test_seal import faults, sealed, verified

PAYMENT = UUID(int=900)
USD = Account(code="test/bank", currency="USD", normal="debit")
COLUMNS = {
    "transfer_id": "uuidv7()",
    "entry_id": "uuidv7()",
    "partner_id": f"'{PARTNER_A}'",
    "kind": "'adjust'",
    "debit_account": f"'{BANK.account_id}'",
    "credit_account": f"'{DONOR.account_id}'",
    "currency": "'PEN'",
    "amount_minor": "100",
    "effective_on": "date '2026-03-01'",
    "posted_at": "now()",
    "actor_id": "uuidv7()",
}
OUT = {"debit_account": f"'{DONOR.account_id}'", "credit_account": f"'{BANK.account_id}'"}


async def moved(conn, *rows: dict[str, object]) -> None:
    """Insert transfers in one statement, each as COLUMNS says but for what is given."""
    names = list(COLUMNS | dict.fromkeys(key for row in rows for key in row))
    values = ", ".join(
        "(" + ", ".join(str((COLUMNS | row).get(name, "NULL")) for name in names) + ")"
        for row in rows
    )
    await conn.execute(text(f"INSERT INTO ledger.transfer ({', '.join(names)}) VALUES {values}"))


async def refused(conn, *rows: dict[str, object]) -> str:
    with pytest.raises(IntegrityError) as error:
        async with conn.begin_nested():
            await moved(conn, *rows)
    return constraint_of(error.value)


def move(kind: str, debit: Account, credit: Account, amount_minor: int = 100) -> dict[str, object]:
    return {
        "transfer_id": f"'{move_id(PAYMENT, 1, kind, debit)}'",
        "kind": f"'{kind}'",
        "payment_id": f"'{PAYMENT}'",
        "attempt_no": "1",
        "debit_account": f"'{debit.account_id}'",
        "credit_account": f"'{credit.account_id}'",
        "amount_minor": amount_minor,
    }


async def test_a_batch_moves_the_accounts_by_itself(conn):
    await opened(conn)
    await moved(conn, {}, {"amount_minor": 7}, {**OUT, "amount_minor": 30})
    assert (await balances(conn, [BANK]))[BANK.account_id] == 77


async def test_no_account_falls_below_its_floor(conn):
    await opened(conn, grant=100)
    assert await refused(conn, {**OUT, "amount_minor": 101}) == "account_floor"
    assert await refused(conn, *[{**OUT, "amount_minor": 51}] * 2) == "account_floor"
    await moved(conn, {**OUT, "amount_minor": 101}, {"amount_minor": 1})
    assert (await balances(conn, [BANK]))[BANK.account_id] == 0


async def test_floors_hold_when_a_session_skips_ordinary_triggers(owner_conn):
    await db.set_facts(owner_conn, actor())
    await opened(owner_conn)
    await owner_conn.execute(text("SET LOCAL session_replication_role = replica"))
    assert await refused(owner_conn, OUT) == "account_floor"


async def test_two_sessions_never_take_the_same_money(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)

    async def take() -> str:
        try:
            async with own.begin() as conn:
                await moved(conn, {**OUT, "amount_minor": 60})
                await asyncio.sleep(0.05)
        except IntegrityError as error:
            return constraint_of(error)
        return "taken"

    said = await asyncio.gather(*(take() for _ in range(3)))
    assert sorted(said) == ["account_floor", "account_floor", "taken"]


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        ({"debit_account": "uuidv7()"}, "transfer_debit_account"),
        ({"credit_account": "uuidv7()"}, "transfer_credit_account"),
        ({"currency": "'EUR'"}, "transfer_debit_account"),
        ({"amount_minor": 10**15 + 1}, "transfer_amount_bounded"),
        ({"effective_on": "'infinity'"}, "transfer_effective_then"),
        ({"effective_on": "'0044-03-15 BC'"}, "transfer_effective_then"),
        ({"posted_at": "'infinity'"}, "transfer_posted_then"),
        ({"kind": "'post'"}, "transfer_moves_a_payment"),
        ({"booked_on": "date '2999-01-01'"}, "transfer_late_in_open_period"),
        ({"credit_account": f"'{BANK.account_id}'"}, "transfer_two_accounts"),
        ({"amount_minor": 0}, "transfer_amount_positive"),
        ({"amount_minor": -5}, "transfer_amount_positive"),
        ({"kind": "'gift'"}, "transfer_kind_known"),
        ({"kind": "'reverse'"}, "transfer_reverse_names_its_original"),
        ({"kind": "'exchange'"}, "transfer_exchange_whole"),
        ({"booked_on": "date '2026-02-01'"}, "transfer_late"),
        ({"payment_id": f"'{PAYMENT}'"}, "transfer_attempt_complete"),
        (
            {"payment_id": "'12345678-0000-0000-0000-000000000000'", "attempt_no": 1},
            "transfer_beside_its_payment",
        ),
        (
            {
                "kind": "'reserve'",
                "payment_id": f"'{PAYMENT}'",
                "attempt_no": 1,
                "transfer_id": f"'{UUID(int=1)}'",
            },
            "transfer_attempt_once",
        ),
    ],
)
async def test_no_transfer_that_makes_no_sense_is_written(conn, row, constraint):
    await opened(conn, grant=1000)
    await open_accounts(conn, [USD], partner_id=PARTNER_A)
    assert await refused(conn, row) == constraint


async def test_no_account_of_another_organisation_is_moved(conn):
    await opened(conn, grant=1000)
    await db.set_facts(conn, actor(PARTNER_B))
    assert await refused(conn, {"partner_id": f"'{PARTNER_B}'"}) in {
        "transfer_debit_account",
        "transfer_credit_account",
    }
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await moved(conn, {})


async def test_not_even_a_superuser_mixes_organisations_in_one_batch(owner_conn):
    theirs = [Account(code=f"theirs/{n}", currency="PEN", normal="debit") for n in (1, 2)]
    await db.set_facts(owner_conn, actor())
    await opened(owner_conn)
    await open_accounts(owner_conn, theirs, partner_id=PARTNER_B)
    one, two = (f"'{account.account_id}'" for account in theirs)
    other = {"partner_id": f"'{PARTNER_B}'", "debit_account": one, "credit_account": two}
    assert await refused(owner_conn, {}, other) == "transfer_one_partner"


@pytest.mark.parametrize("kind", ["post", "void"])
async def test_no_money_moves_for_an_outcome_that_is_not_there(conn, kind):
    await opened(conn, grant=1000)
    await opened_attempts(conn, attempt(PAYMENT, 100))
    await moved(conn, move("reserve", RESERVED, BANK))
    moving = move(kind, DELIVERED, RESERVED)
    assert await refused(conn, moving) == "transfer_of_outcome"
    await ended(conn, PAYMENT, "void" if kind == "post" else "post")
    assert await refused(conn, moving) == "transfer_of_outcome"


@pytest.mark.parametrize("kind", ["post", "void"])
async def test_money_moves_by_the_amount_of_the_outcome_and_once(conn, kind):
    await opened(conn, grant=1000)
    await opened_attempts(conn, attempt(PAYMENT, 100))
    await moved(conn, move("reserve", RESERVED, BANK))
    await ended(conn, PAYMENT, kind)
    for wrong in (1, 99):
        assert await refused(conn, move(kind, DELIVERED, RESERVED, wrong)) == "transfer_of_outcome"
    await moved(conn, move(kind, DELIVERED, RESERVED))
    assert await refused(conn, move(kind, DELIVERED, RESERVED)) == "transfer_pkey"
    again = {**move(kind, DELIVERED, RESERVED), "transfer_id": f"'{UUID(int=2)}'"}
    assert await refused(conn, again) == "transfer_attempt_once"


async def test_of_a_part_just_that_is_posted_and_just_the_rest_voided(conn):
    await opened(conn, grant=1000)
    await opened_attempts(conn, attempt(PAYMENT, 100))
    await moved(conn, move("reserve", RESERVED, BANK))
    await ended(conn, PAYMENT, "post", part=pen(70))
    for kind, debit, wrong in (("post", DELIVERED, (30, 100)), ("void", BANK, (70, 100))):
        for minor in wrong:
            said = await refused(conn, move(kind, debit, RESERVED, minor))
            assert said == "transfer_of_outcome"
    await moved(conn, move("post", DELIVERED, RESERVED, 70), move("void", BANK, RESERVED, 30))


async def test_a_reversal_mirrors_and_takes_back_no_more_than_there_was(conn):
    await opened(conn, grant=1000)
    original = uuid4()
    await moved(conn, {"transfer_id": f"'{original}'"})

    def undo(minor: int, **other: object) -> dict[str, object]:
        return {
            **OUT,
            "kind": "'reverse'",
            "reverses": f"'{original}'",
            "amount_minor": minor,
        } | other

    straight = {key: COLUMNS[key] for key in OUT}
    assert await refused(conn, undo(100, **straight)) == "transfer_reverse_mirrors"
    assert await refused(conn, undo(100, reverses="uuidv7()")) == "transfer_reverse_mirrors"
    assert await refused(conn, undo(101)) == "transfer_reversed_within"
    assert await refused(conn, undo(60), undo(41)) == "transfer_reversed_within"
    await moved(conn, undo(60), undo(40))
    assert await refused(conn, undo(1)) == "transfer_reversed_within"


async def test_an_empty_statement_books_nothing(conn):
    await opened(conn)
    await conn.execute(
        text("INSERT INTO ledger.transfer (transfer_id) SELECT uuidv7() WHERE false")
    )
    assert sum((await balances(conn, BOOKS)).values()) == 0


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_who_looks_at_what_was_before_the_lock_is_refused(own, level):
    async with own.begin() as conn:
        await opened(conn, grant=100)
    async with own.app.connect() as conn:
        await conn.execute(text(f"SET TRANSACTION ISOLATION LEVEL {level}"))
        await db.set_facts(conn, actor())
        assert await refused(conn, {**OUT, "amount_minor": 60}) == "read_committed_only"
        await conn.rollback()


async def test_a_payment_is_reserved_for_its_attempt_only(conn):
    await opened(conn, grant=1000)
    assert await refused(conn, move("reserve", RESERVED, BANK)) == "transfer_of_outcome"
    await opened_attempts(conn, attempt(PAYMENT, 100))
    assert await refused(conn, move("reserve", RESERVED, BANK, 99)) == "transfer_of_outcome"
    await moved(conn, move("reserve", RESERVED, BANK))


async def test_another_attempt_is_reserved_when_the_money_of_the_first_is_free(conn):
    await opened(conn, grant=1000)
    await opened_attempts(conn, attempt(PAYMENT, 100))
    await moved(conn, move("reserve", RESERVED, BANK))
    await ended(conn, PAYMENT, "void")
    await opened_attempts(conn, attempt(PAYMENT, 100, 2))
    second = move("reserve", RESERVED, BANK) | {
        "attempt_no": 2,
        "transfer_id": f"'{move_id(PAYMENT, 2, 'reserve', RESERVED)}'",
    }
    assert await refused(conn, second) == "transfer_after_void"
    await moved(conn, move("void", BANK, RESERVED), second)


async def test_what_a_family_got_is_taken_back_only_beside_its_return(conn):
    await opened(conn, grant=1000)
    await opened_attempts(conn, attempt(PAYMENT, 100))
    await moved(conn, move("reserve", RESERVED, BANK))
    await ended(conn, PAYMENT, "post")
    await moved(conn, move("post", DELIVERED, RESERVED))
    back = move("post", RESERVED, DELIVERED) | {
        "kind": "'reverse'",
        "reverses": f"'{move_id(PAYMENT, 1, 'post', DELIVERED)}'",
    }
    assert await refused(conn, back) == "transfer_of_giveback"
    await came_back(conn, PAYMENT)
    await moved(conn, back)


async def test_a_batch_is_of_one_moment(conn):
    await opened(conn)
    earlier = {"posted_at": "now() - interval '1 day'"}
    assert await refused(conn, {}, earlier) == "transfer_one_moment"


async def test_no_sum_outgrows_its_account(conn):
    await opened(conn)
    most = {"amount_minor": 10**15}
    for _ in range(2):
        await moved(conn, *[most] * 500)
    assert await refused(conn, most) == "transfer_sum_bounded"
    await moved(conn, {})


async def test_a_digest_under_a_transfer_s_id_stops_no_sealer(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)
        await conn.execute(
            text(
                "INSERT INTO ledger.digest (digest_id, partner_id, subject, sha256, made_at,"
                " actor_id) SELECT transfer_id, partner_id, 'period', sha256('x'), now(), uuidv7()"
                " FROM ledger.transfer"
            )
        )
    assert (await sealed(own)).size == 2
    async with own.begin() as conn:
        await moved(conn, {})
    assert (await sealed(own)).size == 3
    # It is of no period, and verification says so.
    assert faults(await verified(own)) == {"period_unsealed"}


async def test_a_younger_cluster_does_not_forget_what_was_taken(own):
    async with own.begin() as conn:
        await opened(conn, grant=100)
    await own.tamper(
        "INSERT INTO ledger.snapshot (account_id, below, partner_id, debit_minor, credit_minor)"
        f" VALUES ('{BANK.account_id}', 9000000000, '{PARTNER_A}', 100, 0)"
    )
    await own.tamper("ALTER TABLE ledger.transfer ENABLE ALWAYS TRIGGER transfer_booked")
    async with own.begin() as conn:
        assert await refused(conn, {**OUT, "amount_minor": 60}) == "snapshot_ended"
