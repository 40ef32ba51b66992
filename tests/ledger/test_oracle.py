"""The ledger against a ledger of a dozen lines: any history, the same answers and balances."""

from uuid import UUID, uuid5

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ledger.post import balances
from ledger.refusal import LedgerRefusal
from ledger.transfer import reversal
from ledger.trial import trial_balance
from tests.ledger.books import (
    BANK,
    BOOKS,
    DAY,
    DELIVERED,
    DONOR,
    RESERVED,
    attempt,
    came_back,
    ended,
    fund,
    opened,
    posted,
    step,
    tried,
)

PAYMENTS = [UUID(int=n) for n in (1, 2, 3)]
AMOUNTS = dict(zip(PAYMENTS, (30, 50, 70), strict=True))


class Move(msgspec.Struct, frozen=True):
    what: str
    payment: UUID
    attempt_no: int


class Oracle:
    """What ought to happen, in plain Python."""

    def __init__(self) -> None:
        self.balance = dict.fromkeys((DONOR.code, BANK.code, RESERVED.code, DELIVERED.code), 0)
        self.done: set[Move] = set()
        self.outcome: dict[tuple[UUID, int], str] = {}
        self.opened: set[tuple[UUID, int]] = set()

    def allows(self, move: Move) -> bool:
        key = (move.payment, move.attempt_no)
        amount = AMOUNTS[move.payment]
        if move in self.done:
            return True
        match move.what:
            case "fund":
                return True
            case "open":
                before = self.outcome.get((move.payment, move.attempt_no - 1))
                return move.attempt_no == 1 or before == "void"
            case "reserve":
                freed = move.attempt_no == 1 or (
                    Move("void", move.payment, move.attempt_no - 1) in self.done
                )
                return key in self.opened and freed and self.balance[BANK.code] >= amount
            case "reverse":
                return Move("post", *key) in self.done
        decided = self.outcome.get(key)
        return key in self.opened and decided is None and self.balance[RESERVED.code] >= amount

    def apply(self, move: Move) -> None:
        if move in self.done:
            return
        self.done.add(move)
        key = (move.payment, move.attempt_no)
        if move.what == "open":
            self.opened.add(key)
            return
        if move.what in ("post", "void"):
            self.outcome[key] = move.what
        up, down = {
            "fund": (BANK, None),
            "reserve": (RESERVED, BANK),
            "post": (DELIVERED, RESERVED),
            "void": (BANK, RESERVED),
            "reverse": (RESERVED, DELIVERED),
        }[move.what]
        amount = AMOUNTS[move.payment]
        self.balance[up.code] += amount
        self.balance[down.code if down else DONOR.code] += -amount if down else amount


async def act(conn, move: Move) -> None:
    amount = AMOUNTS[move.payment]
    taken = step("reserve", move.payment, amount, move.attempt_no)
    match move.what:
        case "fund":
            await posted(conn, fund(amount, (move.payment, move.attempt_no)))
        case "open":
            await tried(conn, attempt(move.payment, amount, move.attempt_no))
        case "reserve":
            await posted(conn, taken)
        case "reverse":
            done = step("post", move.payment, amount, move.attempt_no)
            entry_id = uuid5(move.payment, "reverse")
            await came_back(conn, move.payment, move.attempt_no)
            await posted(conn, reversal(done, entry_id=entry_id, effective_on=DAY))
        case outcome:
            await ended(conn, move.payment, outcome, move.attempt_no)
            await posted(conn, step(outcome, move.payment, amount, move.attempt_no))


moves = st.builds(
    Move,
    # What moves a payment on comes more often than what is refused.
    st.sampled_from(["fund", "fund", "open", "open", "reserve", "post", "void", "reverse"]),
    st.sampled_from(PAYMENTS),
    st.integers(1, 3),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(moves, min_size=5, max_size=40))
async def test_any_history_ends_as_the_oracle_says(conn, history):
    outer = await conn.begin_nested()
    try:
        await replay(conn, history)
    finally:
        await outer.rollback()


async def replay(conn, history) -> None:
    await opened(conn)
    oracle = Oracle()
    for move in history:
        assert await done(conn, move) == oracle.allows(move), move
        if oracle.allows(move):
            oracle.apply(move)
    found = await balances(conn, BOOKS)
    assert {account.code: found[account.account_id] for account in BOOKS} == oracle.balance
    rows = await trial_balance(conn)
    assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows)
    await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    await conn.execute(text("SET CONSTRAINTS ALL DEFERRED"))


async def done(conn, move) -> bool:
    try:
        async with conn.begin_nested():
            await act(conn, move)
    except LedgerRefusal:
        return False
    return True
