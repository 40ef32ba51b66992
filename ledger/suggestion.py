"""What a break may turn out to be. Pure, bounded, and never booked by itself: a person decides."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import combinations
from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money, exponent

Kind = Literal["payment", "payments", "payment_and_fee", "fee", "exchange"]
MEMBERS_MAX = 4
# 4 of 30 are 27,405 sums: some milliseconds.
CANDIDATES_MAX = 30
FOUND_MAX = 5
FEE_PER_MILLE_MAX = 50
EXCHANGE_PER_MILLE_MAX = 20


class Payable(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that is open: instructed, and nothing proves it yet."""

    payment_id: UUID
    attempt_no: int
    money: Money


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a break. `difference_minor` is what the payments do not explain."""

    kind: Kind
    payments: tuple[Payable, ...] = ()
    difference_minor: int = 0


def suggest_debit(
    money: Money, open_payments: Sequence[Payable], *, expected: Payable | None = None
) -> list[Suggestion]:
    """Read a debit: as the payment it names with a fee, as open payments, or as a fee alone."""
    found: list[Suggestion] = []
    if expected is not None and expected.money.currency == money.currency:
        over = money.amount_minor - expected.money.amount_minor
        if 0 < over * 1000 <= expected.money.amount_minor * FEE_PER_MILLE_MAX:
            found.append(
                Suggestion(kind="payment_and_fee", payments=(expected,), difference_minor=over)
            )
    found += sums_to(money, open_payments)
    smallest = min((each.money.amount_minor for each in open_payments), default=0)
    if smallest and money.amount_minor * 1000 <= smallest * FEE_PER_MILLE_MAX:
        found.append(Suggestion(kind="fee", difference_minor=money.amount_minor))
    return found


def sums_to(money: Money, open_payments: Sequence[Payable]) -> list[Suggestion]:
    """Return which one to four of the first thirty payments are this sum, fewest first."""
    same = [each for each in open_payments if each.money.currency == money.currency]
    fitting = [each for each in same if each.money.amount_minor <= money.amount_minor]
    found: list[Suggestion] = []
    for many in range(1, MEMBERS_MAX + 1):
        for some in combinations(fitting[:CANDIDATES_MAX], many):
            if sum(each.money.amount_minor for each in some) == money.amount_minor:
                kind: Kind = "payment" if many == 1 else "payments"
                found.append(Suggestion(kind=kind, payments=some))
                if len(found) == FOUND_MAX:
                    return found
        if found:
            # More payments for the same sum would only be more of a guess.
            break
    return found


def suggest_exchange(money: Money, expected: Payable, rate: Decimal) -> list[Suggestion]:
    """Read an amount in another currency as the payment at about this rate.

    `rate` is units of the payment's currency for one unit of the line's.
    """
    shift = exponent(expected.money.currency) - exponent(money.currency)
    worth = money.amount_minor * rate.scaleb(shift)
    over = int(worth.quantize(Decimal(1), ROUND_HALF_EVEN)) - expected.money.amount_minor
    if abs(over) * 1000 > expected.money.amount_minor * EXCHANGE_PER_MILLE_MAX:
        return []
    return [Suggestion(kind="exchange", payments=(expected,), difference_minor=over)]
