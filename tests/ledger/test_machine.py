"""The ledger driven at random, by sessions that overlap, against a ledger of a few dictionaries.

Two sessions are open at once; what one has not committed the other must not count on. The oracle
says after each step what is in every account and whether a step may be taken.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from api import db
from api.embedded import EmbeddedPostgres
from ledger.close import close_period
from ledger.post import balances
from ledger.refusal import LedgerRefusal
from ledger.transfer import Transfer, reversal
from ledger.trial import trial_balance
from tests.conftest import PARTNER_A, actor
from tests.ledger.books import (
    ACTOR,
    BANK,
    BOOKS,
    DELIVERED,
    DONOR,
    RESERVED,
    attempt,
    came_back,
    draw,
    ended,
    fund,
    opened,
    pen,
    posted,
    step,
    tried,
)
from tests.ledger.conftest import OwnDatabase, own_database
from tests.ledger.test_period import CLOSING
from tests.ledger.test_seal import sealed, verified

PAYMENTS = [UUID(int=n << 64) for n in range(1, 5)]
AMOUNTS = dict(zip(PAYMENTS, (30, 50, 70, 110), strict=True))
FIRST = date(2026, 1, 31)
payments = st.sampled_from(PAYMENTS)
places = st.integers(0, 1_000)
Key = tuple[UUID, int]


class Oracle:
    """The same ledger in plain Python: what is committed, in whole numbers."""

    def __init__(self) -> None:
        self.balance = {account.code: 0 for account in BOOKS}
        self.moved: dict[UUID, Transfer] = {}
        self.taken_back: dict[UUID, int] = {}
        self.attempts: set[Key] = set()
        self.outcomes: dict[Key, tuple[str, int | None]] = {}

    def last(self, payment: UUID) -> int:
        return max((no for of, no in self.attempts if of == payment), default=0)

    def takes(self, *transfers: Transfer) -> bool:
        """Say whether these may be posted, and post them if so."""
        new = [one for one in transfers if one.transfer_id not in self.moved]
        after = dict(self.balance)
        if any(self.moved.get(one.transfer_id, one) != one for one in transfers):
            return False
        for one in new:
            if not self._may(one):
                return False
            for account, side in ((one.debit, "debit"), (one.credit, "credit")):
                sign = 1 if account.normal == side else -1
                after[account.code] += sign * one.money.amount_minor
        if min(after[BANK.code], after[RESERVED.code]) < 0 and new:
            return False
        for one in new:
            self.moved[one.transfer_id] = one
            if one.reverses is not None:
                back = self.taken_back.get(one.reverses, 0)
                self.taken_back[one.reverses] = back + one.money.amount_minor
        self.balance = after
        return True

    def _may(self, one: Transfer) -> bool:
        if one.kind == "reverse":
            original = self.moved.get(one.reverses) if one.reverses else None
            if original is None:
                return False
            back = self.taken_back.get(original.transfer_id, 0) + one.money.amount_minor
            return back <= original.money.amount_minor
        if one.kind not in ("reserve", "post", "void"):
            return True
        assert one.payment_id is not None
        assert one.attempt_no is not None
        if one.kind == "reserve":
            return self._may_reserve(one.payment_id, one.attempt_no)
        outcome = self.outcomes.get((one.payment_id, one.attempt_no))
        if outcome is None:
            return False
        whole = AMOUNTS[one.payment_id]
        delivered = 0 if outcome[0] == "void" else whole if outcome[1] is None else outcome[1]
        wanted = delivered if one.kind == "post" else whole - delivered
        return one.money.amount_minor == wanted

    def _may_reserve(self, payment: UUID, number: int) -> bool:
        freed = number == 1 or any(
            (one.kind, one.payment_id, one.attempt_no) == ("void", payment, number - 1)
            for one in self.moved.values()
        )
        return (payment, number) in self.attempts and freed


class Machine(RuleBasedStateMachine):
    """Every rule is one transaction; some overlap with a second one."""

    postgres: EmbeddedPostgres
    loop: asyncio.AbstractEventLoop
    own: OwnDatabase
    stack: AsyncExitStack

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.periods = 0
        self.grants = 0

    def run(self, job: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(job)

    async def done(self, *jobs: Any) -> bool:
        """Do the jobs in one transaction; False when the ledger refuses."""
        try:
            async with self.own.begin() as conn:
                for job in jobs:
                    await job(conn)
        except LedgerRefusal:
            return False
        return True

    def posts(self, *transfers: Transfer) -> bool:
        return bool(self.run(self.done(lambda conn: posted(conn, *transfers))))

    def both_post(self, *transfers: Transfer) -> None:
        assert self.posts(*transfers) == self.oracle.takes(*transfers)

    @initialize()
    def open(self) -> None:
        self.run(self.begun())

    async def begun(self) -> None:
        self.stack = AsyncExitStack()
        self.own = await self.stack.enter_async_context(own_database(self.postgres))
        async with self.own.begin() as conn:
            await opened(conn)

    @rule(amount=st.integers(1, 120))
    def receive(self, amount: int) -> None:
        self.grants += 1
        self.both_post(fund(amount, f"grant {self.grants}"))

    @rule(payment=payments, further=st.integers(0, 2))
    def attempt(self, payment: UUID, further: int) -> None:
        number = max(1, self.oracle.last(payment) + further)
        key = (payment, number)
        before = self.oracle.outcomes.get((payment, number - 1))
        may = key in self.oracle.attempts or number == 1 or (before or ("", None))[0] == "void"
        made = attempt(payment, AMOUNTS[payment], number)
        assert self.run(self.done(lambda conn: tried(conn, made))) == may
        if may:
            self.oracle.attempts.add(key)

    @rule(payment=payments)
    def reserve(self, payment: UUID) -> None:
        number = self.oracle.last(payment) or 1
        self.both_post(step("reserve", payment, AMOUNTS[payment], number))

    @rule(payment=payments)
    def begin(self, payment: UUID) -> None:
        self.attempt(payment, 0)
        self.reserve(payment)

    @rule(payment=payments, outcome=st.sampled_from(["post", "void"]), part=st.integers(0, 29))
    def finish(self, payment: UUID, outcome: str, part: int) -> None:
        self.begin(payment)
        self.end(payment, outcome, part)
        for kind in ("post", "void"):
            for wrong in (1, -1, 0):
                self.settle(payment, kind, wrong)

    @rule(payment=payments, outcome=st.sampled_from(["post", "void"]), part=st.integers(0, 130))
    def end(self, payment: UUID, outcome: str, part: int) -> None:
        number, whole = self.oracle.last(payment) or 1, AMOUNTS[payment]
        share = part if outcome == "post" and part else None
        key, wanted = (payment, number), (outcome, share)
        known = self.oracle.outcomes.get(key)
        may = key in self.oracle.attempts and (known or wanted) == wanted
        may = may and (share is None or share < whole)
        given = pen(share) if share else None
        said = self.run(self.done(lambda conn: ended(conn, payment, outcome, number, part=given)))
        assert said == may
        if may:
            self.oracle.outcomes[key] = wanted

    @rule(payment=payments, kind=st.sampled_from(["post", "void"]), wrong=st.integers(-1, 1))
    def settle(self, payment: UUID, kind: str, wrong: int) -> None:
        number = self.oracle.last(payment) or 1
        outcome = self.oracle.outcomes.get((payment, number), ("void", None))
        whole = AMOUNTS[payment]
        delivered = 0 if outcome[0] == "void" else outcome[1] or whole
        amount = (delivered if kind == "post" else whole - delivered) + wrong
        if amount > 0:
            self.both_post(step(kind, payment, amount, number))

    def known(self, place: int) -> list[Transfer]:
        """One of what was moved, if anything was; no choice may depend on who won a race."""
        moved = [self.oracle.moved[key] for key in sorted(self.oracle.moved)]
        return moved[place % len(moved) :][:1] if moved else []

    @rule(place=places, part=st.integers(0, 120))
    def reverse(self, place: int, part: int) -> None:
        for moved in self.known(place):
            self.take_back(moved, part)

    def take_back(self, moved: Transfer, part: int) -> None:
        if moved.kind == "reverse":
            return
        if moved.kind == "post" and moved.payment_id and moved.attempt_no:
            back = moved.payment_id, moved.attempt_no
            assert self.run(self.done(lambda conn: came_back(conn, *back)))
        share = pen(part) if part else None
        name = f"{part}"
        made = reversal(
            moved, entry_id=moved.entry_id, effective_on=moved.effective_on, part=share, name=name
        )
        self.both_post(made)

    @rule(again=st.lists(places, max_size=5))
    def replay(self, again: list[int]) -> None:
        before = dict(self.oracle.balance)
        self.both_post(*(one for place in again for one in self.known(place)))
        assert self.oracle.balance == before

    @rule(first=payments, second=payments)
    def two_at_once(self, first: UUID, second: UUID) -> None:
        """Two sessions reserve at the same moment: as if one had come after the other."""
        numbers = {one: self.oracle.last(one) or 1 for one in (first, second)}
        moves = [step("reserve", one, AMOUNTS[one], numbers[one]) for one in (first, second)]

        async def both() -> list[bool]:
            jobs = (self.done(lambda conn, one=one: posted(conn, one)) for one in moves)
            return list(await asyncio.gather(*jobs))

        said = self.run(both())
        order = sorted(zip(said, moves, strict=True), key=lambda pair: not pair[0])
        # Whoever was let in came first; the other is judged by what was left.
        for may, move in order:
            assert self.oracle.takes(move) == may

    @rule(commits=st.booleans(), amount=st.integers(1, 100))
    def an_open_session_counts_for_nobody(self, commits: bool, amount: int) -> None:
        """One session gives, and has not committed: the other can't spend it."""
        self.grants += 1
        gift = fund(amount, f"grant {self.grants}")
        spent = draw(self.oracle.balance[BANK.code] + 1)

        async def overlap() -> bool:
            async with self.own.app.connect() as slow:
                outer = await slow.begin()
                await db.set_facts(slow, actor())
                await posted(slow, gift)
                refused = not await self.done(lambda conn: posted(conn, spent))
                await (outer.commit() if commits else outer.rollback())
                return refused

        assert self.run(overlap())
        if commits:
            assert self.oracle.takes(gift)

    @rule()
    def seal(self) -> None:
        self.run(sealed(self.own))

    @rule()
    def close(self) -> None:
        """Close the next month; everything is still booked, in an open one."""
        self.periods += 1
        until = FIRST + timedelta(days=31 * min(self.periods, 2))

        async def closing() -> None:
            async with self.own.begin() as conn:
                await close_period(
                    conn, until=until, partner_id=PARTNER_A, actor_id=ACTOR, at=CLOSING
                )

        self.run(closing())

    @invariant()
    def the_books_are_the_oracle(self) -> None:
        self.run(self.compared())

    async def compared(self) -> None:
        async with self.own.begin() as conn:
            found = await balances(conn, BOOKS)
            rows = await trial_balance(conn)
        assert {one.code: found[one.account_id] for one in BOOKS} == self.oracle.balance
        assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows)
        given = self.oracle.balance[DONOR.code]
        assert given == sum(self.oracle.balance[one.code] for one in (BANK, RESERVED, DELIVERED))

    def teardown(self) -> None:
        self.run(self.over())

    async def over(self) -> None:
        await sealed(self.own)
        found = await verified(self.own)
        await self.stack.aclose()
        # An outcome or a return may be recorded here and its money not be moved.
        unfinished = {"outcome_not_booked", "giveback_without_reversal"}
        assert {fault.kind for fault in found.faults} <= unfinished


def test_any_history_of_overlapping_sessions_ends_as_the_oracle_says(postgres):
    loop = asyncio.new_event_loop()
    machine = type("OnDatabase", (Machine,), {"postgres": postgres, "loop": loop})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=50,
                suppress_health_check=list(HealthCheck),
                # To make a failure smaller takes long, and may not succeed: races end as they will.
                phases=[Phase.generate],
            ),
        )
    finally:
        loop.close()
