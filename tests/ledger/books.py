"""A small set of books, and shorthand to move money in them."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4, uuid5

from ledger.account import Account
from ledger.attempt import Attempt, Giveback, Outcome
from ledger.attempts import open_attempts, record_outcomes, record_returns
from ledger.money import Money
from ledger.post import open_accounts, post
from ledger.transfer import Transfer, move_id, transfer_id
from tests.conftest import PARTNER_A

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 3, 1)
ACTOR = UUID(int=77)
DONOR = Account(code="test/donor", currency="PEN", normal="credit")
BANK = Account(code="test/bank", currency="PEN", normal="debit", floor_minor=0)
RESERVED = Account(code="test/reserved", currency="PEN", normal="debit", floor_minor=0)
DELIVERED = Account(code="test/delivered", currency="PEN", normal="debit")
BOOKS = [DONOR, BANK, RESERVED, DELIVERED]
SIDES = {
    "fund": (BANK, DONOR),
    "reserve": (RESERVED, BANK),
    "post": (DELIVERED, RESERVED),
    "void": (BANK, RESERVED),
}


def pen(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="PEN")


def fund(amount_minor: int, name: object = "grant") -> Transfer:
    key = transfer_id("fund", name)
    return Transfer(
        transfer_id=key,
        entry_id=key,
        kind="fund",
        debit=BANK,
        credit=DONOR,
        money=pen(amount_minor),
        effective_on=DAY,
    )


def draw(amount_minor: int) -> Transfer:
    """Money moved aside, for no payment."""
    key = uuid4()
    return Transfer(
        transfer_id=key,
        entry_id=key,
        kind="adjust",
        debit=RESERVED,
        credit=BANK,
        money=pen(amount_minor),
        effective_on=DAY,
    )


def step(kind, payment_id: UUID, amount_minor: int, attempt_no: int = 1) -> Transfer:
    """One step of a payment: "reserve", "post" or "void"."""
    debit, credit = SIDES[kind]
    return Transfer(
        transfer_id=move_id(payment_id, attempt_no, kind, debit),
        entry_id=uuid5(payment_id, f"{kind}{attempt_no}"),
        kind=kind,
        debit=debit,
        credit=credit,
        money=pen(amount_minor),
        effective_on=DAY,
        payment_id=payment_id,
        attempt_no=attempt_no,
    )


def attempt(payment_id: UUID, amount_minor: int, attempt_no: int = 1) -> Attempt:
    return Attempt(
        payment_id=payment_id,
        attempt_no=attempt_no,
        end_to_end_id=f"{payment_id.hex[-30:]}-{attempt_no}",
        money=pen(amount_minor),
    )


async def opened(conn, *, grant: int = 0) -> None:
    await open_accounts(conn, BOOKS, partner_id=PARTNER_A)
    if grant:
        await posted(conn, fund(grant, uuid4()))


async def came_back(conn, payment_id: UUID, attempt_no: int = 1) -> int:
    fact = Giveback(payment_id=payment_id, attempt_no=attempt_no, reason="MD07")
    return await record_returns(conn, [fact], partner_id=PARTNER_A, at=AT)


async def posted(conn, *transfers: Transfer) -> int:
    return await post(conn, transfers, partner_id=PARTNER_A, at=AT, actor_id=ACTOR)


async def tried(conn, *attempts: Attempt) -> int:
    return await open_attempts(conn, attempts, partner_id=PARTNER_A, at=AT)


async def ended(
    conn, payment_id: UUID, outcome, attempt_no: int = 1, part: Money | None = None
) -> int:
    fact = Outcome(
        payment_id=payment_id, attempt_no=attempt_no, outcome=outcome, reason="AC04", part=part
    )
    return await record_outcomes(conn, [fact], partner_id=PARTNER_A, at=AT)
