"""Which attempt a line names that does not carry its id, and which payments a batch is. Pure.

Only what can mean nothing else is named: of several attempts for a line, or several lines for an
attempt, none. Amount, currency and direction always agree.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money

Rule = Literal["uetr-exact/1", "provider-id-exact/1", "reference/1", "account-and-amount/1"]
# A key of the bank's own comes before what only looks alike.
RULES: tuple[Rule, ...] = (
    "uetr-exact/1",
    "provider-id-exact/1",
    "reference/1",
    "account-and-amount/1",
)
BATCH_RULE = "batch-exploded/1"
BUSINESS_DAYS = 5


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A line and an attempt that it may name, and why."""

    line_id: UUID
    end_to_end_id: str
    rule: Rule
    step: str  # of the attempt: two lines of one step name it both, or neither
    line_money: Money | None
    attempt_money: Money
    booked_on: date | None
    opened_on: date


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """This line names this attempt."""

    line_id: UUID
    end_to_end_id: str
    rule: Rule


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One payment of a batch: which line booked it, and how much of it the payment is."""

    batch_line_id: UUID
    end_to_end_id: str
    money: Money


def business_days_between(one: date, other: date, holidays: frozenset[date]) -> int:
    """Count the days from the earlier (not counted) to the later on which banks work."""
    first, last = sorted((one, other))
    days = (first + timedelta(days=n) for n in range(1, (last - first).days + 1))
    return sum(1 for day in days if day.weekday() < 5 and day not in holidays)


def name(
    candidates: Iterable[Candidate], *, holidays: frozenset[date] = frozenset()
) -> list[Naming]:
    """Return what each line names, sorted by line; a line or attempt in doubt is left out."""
    named: dict[UUID, Naming] = {}
    taken: set[tuple[str, str]] = set()
    fitting = {
        (each.line_id, each.end_to_end_id, each.rule): each
        for each in candidates
        if _fits(each, holidays)
    }
    for rule in RULES:
        left = [
            each
            for each in fitting.values()
            if each.rule == rule
            and each.line_id not in named
            and (each.end_to_end_id, each.step) not in taken
        ]
        of_line = Counter(each.line_id for each in left)
        of_attempt = Counter((each.end_to_end_id, each.step) for each in left)
        for each in left:
            step = (each.end_to_end_id, each.step)
            if of_line[each.line_id] == 1 and of_attempt[step] == 1:
                named[each.line_id] = Naming(
                    line_id=each.line_id, end_to_end_id=each.end_to_end_id, rule=rule
                )
                taken.add(step)
    return [named[line_id] for line_id in sorted(named)]


def _fits(each: Candidate, holidays: frozenset[date]) -> bool:
    if each.line_money is None or each.line_money != each.attempt_money:
        return False
    if each.rule in ("uetr-exact/1", "provider-id-exact/1"):
        return True
    if each.booked_on is None:
        return False
    return business_days_between(each.booked_on, each.opened_on, holidays) <= BUSINESS_DAYS


def explode(batch: Mapping[UUID, Money], shares: Sequence[Share]) -> list[Share]:
    """Return the shares of those batches that their payments make up to the last unit.

    A batch that its reported payments do not add up to, or one of whose payments is in another
    batch as well, is left whole: nobody can say which of them it paid.
    """
    of_batch: dict[UUID, list[Share]] = {}
    for share in shares:
        of_batch.setdefault(share.batch_line_id, []).append(share)
    many = Counter(share.end_to_end_id for share in shares)
    whole: list[Share] = []
    for line_id in sorted(of_batch):
        own, money = of_batch[line_id], batch[line_id]
        same = all(share.money.currency == money.currency for share in own)
        total = sum(share.money.amount_minor for share in own)
        once = all(many[share.end_to_end_id] == 1 for share in own)
        if same and once and total == money.amount_minor:
            whole += sorted(own, key=lambda share: share.end_to_end_id)
    return whole
