"""The chart of accounts, and the transfers that each event of a programme becomes.

    account                       normal   floor   holds
    programme:{id}:grant:{code}   credit   0       given by a donor, not yet allotted
    programme:{id}:fund           credit   0       allotted, not set aside for a round
    round:{id}:available          credit   0       set aside for the round, not promised
    round:{id}:committed          credit   0       promised to families, not yet instructed
    round:{id}:payable            credit   0       instructed, outcome unknown
    round:{id}:delivered          credit   0       delivered
    programme:{id}:spent          credit           used up by fees and exchanges
    programme:{id}:suspense       credit           moved by the bank, explained by nobody yet
    programme:{id}:advance        debit            money lying with the provider
    programme:{id}:clearing       debit            reported as paid, not yet on a statement
    programme:{id}:expense        debit            assistance delivered
    programme:{id}:fees           debit            what the provider and the State kept
    programme:{id}:exchange       debit            losses by exchange, less gains
    programme:{id}:receivable     debit            owed by the provider: paid wrongly, or too much

The first eight say whose money it is, the others where it is. So for every programme and currency
both sides are the same sum.
"""

from collections.abc import Iterable
from datetime import date
from typing import Literal
from uuid import UUID

from ledger.account import Account
from ledger.attempt import Attempt
from ledger.exchange import Exchange
from ledger.matching import BreakKind
from ledger.money import Money
from ledger.transfer import Kind, Move, Transfer, move_id, reversal, transfer_id

Own = Literal["advance", "clearing", "expense", "fees", "exchange", "receivable"]
Direction = Literal["debit", "credit"]  # as the bank's statement has it

# What the provider paid a second time, or after it had said no, it owes us.
CLAIMED: tuple[BreakKind, ...] = ("paid_twice", "paid_after_void")


def fund(programme_id: UUID, currency: str) -> Account:
    return _owed(f"programme:{programme_id}:fund", currency)


def grant(programme_id: UUID, code: str, currency: str) -> Account:
    return _owed(f"programme:{programme_id}:grant:{code}", currency)


def spent(programme_id: UUID, currency: str) -> Account:
    return _owed(f"programme:{programme_id}:spent", currency, floor_minor=None)


def suspense(programme_id: UUID, currency: str) -> Account:
    return _owed(f"programme:{programme_id}:suspense", currency, floor_minor=None)


def own(programme_id: UUID, what: Own, currency: str) -> Account:
    return Account(code=f"programme:{programme_id}:{what}", currency=currency, normal="debit")


def advance(programme_id: UUID, currency: str) -> Account:
    return own(programme_id, "advance", currency)


def expense(programme_id: UUID, currency: str) -> Account:
    return own(programme_id, "expense", currency)


def available(round_id: UUID, currency: str) -> Account:
    return _owed(f"round:{round_id}:available", currency)


def committed(round_id: UUID, currency: str) -> Account:
    return _owed(f"round:{round_id}:committed", currency)


def payable(round_id: UUID, currency: str) -> Account:
    return _owed(f"round:{round_id}:payable", currency)


def delivered(round_id: UUID, currency: str) -> Account:
    return _owed(f"round:{round_id}:delivered", currency)


def of_programme(programme_id: UUID, currency: str) -> list[Account]:
    whose = [account(programme_id, currency) for account in (fund, spent, suspense)]
    what: tuple[Own, ...] = (
        "advance",
        "clearing",
        "expense",
        "fees",
        "exchange",
        "receivable",
    )
    return [*whose, *(own(programme_id, one, currency) for one in what)]


def of_round(round_id: UUID, currency: str) -> list[Account]:
    return [account(round_id, currency) for account in (available, committed, payable, delivered)]


def funded(
    programme_id: UUID, money: Money, *, deposit_id: UUID, on: date, of_grant: str | None = None
) -> Transfer:
    """Money of a donor arrived on the paying account: allotted at once, or to a grant first."""
    into = fund(programme_id, money.currency)
    if of_grant is not None:
        into = grant(programme_id, of_grant, money.currency)
    sides = advance(programme_id, money.currency), into
    return _alone("fund", ("fund", programme_id, deposit_id), sides, money, on=on)


def allotted(
    programme_id: UUID, of_grant: str, money: Money, *, allotment_id: UUID, on: date
) -> Transfer:
    """Money of a grant may be used for rounds."""
    currency = money.currency
    sides = grant(programme_id, of_grant, currency), fund(programme_id, currency)
    return _alone("fund", ("allot", programme_id, allotment_id), sides, money, on=on)


def set_aside(programme_id: UUID, round_id: UUID, money: Money, *, on: date) -> Transfer:
    """A round is funded, once, with its total."""
    sides = fund(programme_id, money.currency), available(round_id, money.currency)
    entry = transfer_id("release", round_id)
    return _alone("fund", ("fund", round_id), sides, money, on=on, entry=entry)


def reserved(
    round_id: UUID, attempts: Iterable[Attempt], *, currency: str, on: date
) -> list[Transfer]:
    """Payments of a funded round are promised to families."""
    entry = transfer_id("release", round_id)
    sides = available(round_id, currency), committed(round_id, currency)
    return [_move("reserve", attempt, sides, entry=entry, on=on) for attempt in attempts]


def instructed(round_id: UUID, money: Money, *, on: date) -> Transfer:
    """A round is released with its total: what was promised is the provider's to pay."""
    sides = committed(round_id, money.currency), payable(round_id, money.currency)
    entry = transfer_id("release", round_id)
    return _alone("adjust", ("instruct", round_id), sides, money, on=on, entry=entry)


def reissued(
    round_id: UUID, followup_id: UUID, attempts: Iterable[Attempt], *, currency: str, on: date
) -> list[Transfer]:
    """Payments of a follow-up are promised to families anew, of what came back to the round."""
    entry = transfer_id("reissue", followup_id)
    sides = available(round_id, currency), committed(round_id, currency)
    return [_move("reserve", attempt, sides, entry=entry, on=on) for attempt in attempts]


def reinstructed(round_id: UUID, followup_id: UUID, money: Money, *, on: date) -> Transfer:
    """A follow-up is released with its total: what was promised is the provider's to pay."""
    sides = committed(round_id, money.currency), payable(round_id, money.currency)
    entry = transfer_id("reissue", followup_id)
    return _alone("adjust", ("reinstruct", followup_id), sides, money, on=on, entry=entry)


def not_needed(programme_id: UUID, round_id: UUID, money: Money, *, on: date) -> Transfer:
    """Families were taken off a funded round: at its release their money is the fund's again."""
    sides = available(round_id, money.currency), fund(programme_id, money.currency)
    entry = transfer_id("release", round_id)
    return _alone("adjust", ("not needed", round_id), sides, money, on=on, entry=entry)


def paid(
    programme_id: UUID, round_id: UUID, attempt: Attempt, *, on: date, part: Money | None = None
) -> list[Transfer]:
    """The bank's statement shows the debit: delivered, whole or in part; the rest is free again."""
    currency = attempt.money.currency
    entry = transfer_id("paid", attempt.payment_id, attempt.attempt_no)
    promise = payable(round_id, currency), delivered(round_id, currency)
    cash = expense(programme_id, currency), advance(programme_id, currency)
    moves = [
        _move("post", attempt, promise, entry=entry, on=on, part=part),
        _move("post", attempt, cash, entry=entry, on=on, part=part),
    ]
    if part is not None:
        free = payable(round_id, currency), available(round_id, currency)
        rest = attempt.money - part
        moves.append(_move("void", attempt, free, entry=entry, on=on, part=rest))
    return moves


def rejected(round_id: UUID, attempt: Attempt, *, on: date) -> Transfer:
    """The bank refused the payment: the money is available to the round again."""
    currency = attempt.money.currency
    entry = transfer_id("rejected", attempt.payment_id, attempt.attempt_no)
    sides = payable(round_id, currency), available(round_id, currency)
    return _move("void", attempt, sides, entry=entry, on=on)


def returned(
    programme_id: UUID, round_id: UUID, attempt: Attempt, *, on: date, part: Money | None = None
) -> list[Transfer]:
    """A delivered payment came back: its exact reversal, and the money is available again."""
    currency = attempt.money.currency
    entry = transfer_id("returned", attempt.payment_id, attempt.attempt_no)
    posted = paid(programme_id, round_id, attempt, on=on, part=part)
    reversals = [
        reversal(original, entry_id=entry, effective_on=on)
        for original in posted
        if original.kind == "post"
    ]
    freed = Transfer(
        transfer_id=transfer_id("freed", attempt.attempt_no, payment_id=attempt.payment_id),
        entry_id=entry,
        kind="adjust",
        debit=payable(round_id, currency),
        credit=available(round_id, currency),
        money=attempt.money if part is None else part,
        effective_on=on,
        payment_id=attempt.payment_id,
        attempt_no=attempt.attempt_no,
    )
    return [*reversals, freed]


def closed(
    programme_id: UUID, round_id: UUID, money: Money, *, ever_available_minor: int, on: date
) -> Transfer:
    """A round is over: what is left of it is the programme's again.

    Money may come back after that, and the round is closed again: all that was ever available to it
    tells one time from another.
    """
    sides = available(round_id, money.currency), fund(programme_id, money.currency)
    return _alone("close", ("close", round_id, ever_available_minor), sides, money, on=on)


def charged(programme_id: UUID, money: Money, *, line_id: UUID, on: date) -> list[Transfer]:
    """The provider, or the State, kept a fee, which the fund bears."""
    name = ("fee", programme_id, line_id)
    return _borne(programme_id, "fees", money, name=name, kind="fee", on=on)


def exchanged(programme_id: UUID, exchange: Exchange, *, on: date) -> list[Transfer]:
    """Money of one currency left fund and provider, and came back as the other."""
    old, new = exchange.sold.currency, exchange.bought.currency
    return exchange.legs(
        sold=(fund(programme_id, old), advance(programme_id, old)),
        bought=(advance(programme_id, new), fund(programme_id, new)),
        effective_on=on,
    )


def exchange_result(
    programme_id: UUID, expected: Money, actual: Money, *, entry_id: UUID, on: date
) -> list[Transfer]:
    """An exchange brought less than was booked for it (a loss), or more (a gain)."""
    difference = actual - expected
    if difference.amount_minor == 0:
        return []
    name = ("exchange result", programme_id, entry_id)
    if difference.amount_minor < 0:
        return _borne(programme_id, "exchange", expected - actual, name=name, kind="adjust", on=on)
    return _borne(
        programme_id, "exchange", difference, name=name, kind="adjust", on=on, is_gain=True
    )


def suspended(
    programme_id: UUID,
    money: Money,
    direction: Direction,
    *,
    line_id: UUID,
    on: date,
    turn: int = 0,
) -> Transfer:
    """The bank moved money, and nobody can say yet what for; explaining it reverses this.

    `turn` tells one time from another, should the explanation be taken back.
    """
    out = suspense(programme_id, money.currency), advance(programme_id, money.currency)
    sides = out if direction == "debit" else out[::-1]
    name = ("suspense", programme_id, line_id, *([turn] if turn else []))
    return _alone("adjust", name, sides, money, on=on)


def claimed(
    programme_id: UUID, money: Money, *, line_id: UUID, on: date, turn: int = 0
) -> Transfer:
    """The provider paid what we did not instruct: it owes us that; recovering it reverses this."""
    currency = money.currency
    sides = own(programme_id, "receivable", currency), advance(programme_id, currency)
    name = ("claim", programme_id, line_id, *([turn] if turn else []))
    return _alone("adjust", name, sides, money, on=on)


def unexplained(
    programme_id: UUID,
    kind: BreakKind,
    money: Money,
    direction: Direction,
    *,
    line_id: UUID,
    on: date,
    turn: int = 0,
) -> Transfer | None:
    """What a break books until it is settled; None for what moved once, and is booked already."""
    if kind == "line_twice":
        return None
    if kind in CLAIMED and direction == "debit":
        return claimed(programme_id, money, line_id=line_id, on=on, turn=turn)
    return suspended(programme_id, money, direction, line_id=line_id, on=on, turn=turn)


def written_off(
    programme_id: UUID, money: Money, *, line_id: UUID, on: date, is_gain: bool
) -> list[Transfer]:
    """Nobody will ever explain it: the fund bears it, or keeps it."""
    name = ("write-off", programme_id, line_id)
    return _borne(programme_id, "fees", money, name=name, kind="adjust", on=on, is_gain=is_gain)


def recovered(claim: Transfer, *, by_line: UUID | None, on: date) -> Transfer:
    """The provider paid back what it owed."""
    entry = transfer_id("recovered", claim.transfer_id, by_line)
    return reversal(claim, entry_id=entry, effective_on=on)


def cleared(programme_id: UUID, money: Money, *, report_id: UUID, on: date) -> Transfer:
    """The provider reports money as paid out; its statement, which is later, reverses this."""
    currency = money.currency
    sides = own(programme_id, "clearing", currency), advance(programme_id, currency)
    return _alone("adjust", ("clearing", programme_id, report_id), sides, money, on=on)


def _borne(
    programme_id: UUID,
    what: Own,
    money: Money,
    *,
    name: tuple[object, ...],
    kind: Kind,
    on: date,
    is_gain: bool = False,
) -> list[Transfer]:
    """Let the fund bear what was used up, on both sides of the books."""
    currency = money.currency
    cash = own(programme_id, what, currency), advance(programme_id, currency)
    side = fund(programme_id, currency), spent(programme_id, currency)
    entry = transfer_id(*name)
    return [
        _alone(kind, (*name, leg), sides[::-1] if is_gain else sides, money, on=on, entry=entry)
        for leg, sides in (("cash", cash), ("fund", side))
    ]


def _owed(code: str, currency: str, *, floor_minor: int | None = 0) -> Account:
    return Account(code=code, currency=currency, normal="credit", floor_minor=floor_minor)


def _alone(
    kind: Kind,
    name: tuple[object, ...],
    sides: tuple[Account, Account],
    money: Money,
    *,
    on: date,
    entry: UUID | None = None,
) -> Transfer:
    """Move money that is no single payment's; the same name is the same move."""
    wanted = transfer_id(*name)
    return Transfer(
        transfer_id=wanted,
        entry_id=wanted if entry is None else entry,
        kind=kind,
        debit=sides[0],
        credit=sides[1],
        money=money,
        effective_on=on,
    )


def _move(
    kind: Move,
    attempt: Attempt,
    sides: tuple[Account, Account],
    *,
    entry: UUID,
    on: date,
    part: Money | None = None,
) -> Transfer:
    """Move an attempt's amount, or a part, between two accounts; the same move has the same id."""
    return Transfer(
        transfer_id=move_id(attempt.payment_id, attempt.attempt_no, kind, sides[0]),
        entry_id=entry,
        kind=kind,
        debit=sides[0],
        credit=sides[1],
        money=attempt.money if part is None else part,
        effective_on=on,
        payment_id=attempt.payment_id,
        attempt_no=attempt.attempt_no,
    )
