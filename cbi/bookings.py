"""The chart of accounts, and the transfers that each event of a programme becomes.

    account                       normal   floor   holds
    programme:{id}:fund           credit   0       money given and not yet set aside for a round
    programme:{id}:advance        debit            money lying with the paying bank
    programme:{id}:expense        debit            assistance delivered
    round:{id}:available          credit   0       set aside for the round, not promised
    round:{id}:committed          credit   0       instructed, outcome unknown
    round:{id}:delivered          credit   0       delivered

Fund, available, committed and delivered say whose money it is; advance and expense say where it
is. So for every programme: advance + expense = fund + available + committed + delivered.
"""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from ledger.account import Account
from ledger.attempt import Attempt
from ledger.money import Money
from ledger.transfer import Kind, Transfer, reversal, transfer_id


def fund(programme_id: UUID, currency: str) -> Account:
    return Account(
        code=f"programme:{programme_id}:fund", currency=currency, normal="credit", floor_minor=0
    )


def advance(programme_id: UUID, currency: str) -> Account:
    return Account(code=f"programme:{programme_id}:advance", currency=currency, normal="debit")


def expense(programme_id: UUID, currency: str) -> Account:
    return Account(code=f"programme:{programme_id}:expense", currency=currency, normal="debit")


def available(round_id: UUID, currency: str) -> Account:
    return Account(
        code=f"round:{round_id}:available", currency=currency, normal="credit", floor_minor=0
    )


def committed(round_id: UUID, currency: str) -> Account:
    return Account(
        code=f"round:{round_id}:committed", currency=currency, normal="credit", floor_minor=0
    )


def delivered(round_id: UUID, currency: str) -> Account:
    return Account(
        code=f"round:{round_id}:delivered", currency=currency, normal="credit", floor_minor=0
    )


def of_programme(programme_id: UUID, currency: str) -> list[Account]:
    return [account(programme_id, currency) for account in (fund, advance, expense)]


def of_round(round_id: UUID, currency: str) -> list[Account]:
    return [account(round_id, currency) for account in (available, committed, delivered)]


def funded(programme_id: UUID, money: Money, *, deposit_id: UUID, on: date) -> Transfer:
    """Money of a donor arrived on the paying account."""
    wanted = transfer_id("fund", programme_id, deposit_id)
    return Transfer(
        transfer_id=wanted,
        entry_id=wanted,
        kind="fund",
        debit=advance(programme_id, money.currency),
        credit=fund(programme_id, money.currency),
        money=money,
        effective_on=on,
    )


def set_aside(programme_id: UUID, round_id: UUID, money: Money, *, on: date) -> Transfer:
    """A round was funded: once, with its control total."""
    return Transfer(
        transfer_id=transfer_id("fund", round_id),
        entry_id=transfer_id("release", round_id),
        kind="fund",
        debit=fund(programme_id, money.currency),
        credit=available(round_id, money.currency),
        money=money,
        effective_on=on,
    )


def reserved(
    round_id: UUID, attempts: Iterable[Attempt], *, currency: str, on: date
) -> list[Transfer]:
    """Payments of a funded round were instructed: each is reserved."""
    entry = transfer_id("release", round_id)
    sides = available(round_id, currency), committed(round_id, currency)
    return [
        _move("reserve", attempt, sides, name=("reserve", round_id), entry=entry, on=on)
        for attempt in attempts
    ]


def not_needed(programme_id: UUID, round_id: UUID, money: Money, *, on: date) -> Transfer:
    """Families were taken off a funded round: at its release their money is the fund's again."""
    return Transfer(
        transfer_id=transfer_id("not needed", round_id),
        entry_id=transfer_id("release", round_id),
        kind="adjust",
        debit=available(round_id, money.currency),
        credit=fund(programme_id, money.currency),
        money=money,
        effective_on=on,
    )


def paid(programme_id: UUID, round_id: UUID, attempt: Attempt, *, on: date) -> list[Transfer]:
    """The bank's statement shows the debit: the payment is delivered."""
    currency = attempt.money.currency
    entry = transfer_id("paid", attempt.payment_id, attempt.attempt_no)
    promise = committed(round_id, currency), delivered(round_id, currency)
    cash = expense(programme_id, currency), advance(programme_id, currency)
    return [
        _move("post", attempt, promise, name=("post", "round"), entry=entry, on=on),
        _move("post", attempt, cash, name=("post", "cash"), entry=entry, on=on),
    ]


def rejected(round_id: UUID, attempt: Attempt, *, on: date) -> Transfer:
    """The bank refused the payment: the money is available to the round again."""
    currency = attempt.money.currency
    entry = transfer_id("rejected", attempt.payment_id, attempt.attempt_no)
    sides = committed(round_id, currency), available(round_id, currency)
    return _move("void", attempt, sides, name=("void",), entry=entry, on=on)


def returned(programme_id: UUID, round_id: UUID, attempt: Attempt, *, on: date) -> list[Transfer]:
    """A delivered payment came back: its exact reversal, and the money is available again."""
    currency = attempt.money.currency
    entry = transfer_id("returned", attempt.payment_id, attempt.attempt_no)
    reversals = [
        reversal(original, entry_id=entry, effective_on=on)
        for original in paid(programme_id, round_id, attempt, on=on)
    ]
    sides = committed(round_id, currency), available(round_id, currency)
    return [*reversals, _move("adjust", attempt, sides, name=("freed",), entry=entry, on=on)]


def _move(
    kind: Kind,
    attempt: Attempt,
    sides: tuple[Account, Account],
    *,
    name: tuple[object, ...],
    entry: UUID,
    on: date,
) -> Transfer:
    """Move an attempt's amount from one account to another; the same move has the same id."""
    return Transfer(
        transfer_id=transfer_id(*name, attempt.payment_id, attempt.attempt_no),
        entry_id=entry,
        kind=kind,
        debit=sides[0],
        credit=sides[1],
        money=attempt.money,
        effective_on=on,
        payment_id=attempt.payment_id,
        attempt_no=attempt.attempt_no,
    )
