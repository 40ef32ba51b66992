"""Try rules on what was promised: which promises they would have refused, and how much that was.

Pure: facts in, figures out. Only what was promised is known, so rules that allow more show by what
they would not have refused, and never by whom they would have let in.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from cbi.overlap import Promise, Rules, against
from ledger.money import Money

# A cell of fewer families is not shown of another organisation.
CELL_MIN = 5


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A promise to a family (a number that means nothing elsewhere), and whether it is counted.

    One that isn't counted was made before, or is another organisation's: it only stands in the
    way. `stands_until` is when it was given up; None if it wasn't.
    """

    family: int
    partner_id: UUID | None
    promise: Promise
    held_at: datetime
    stands_until: datetime | None
    money: Money | None
    is_counted: bool


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Families, and what entitlements promised to them, a sum for each currency."""

    households: int
    amounts: tuple[Money, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation promised, and what of it rules refuse; None is too few to tell."""

    partner_id: UUID
    promised: Cell | None
    refused_in_force: Cell | None
    refused_proposed: Cell | None


def simulate(facts: Sequence[Fact], *, in_force: Rules, proposed: Rules) -> list[Outcome]:
    """Replay the promises in their order under both rule sets; organisations by id."""
    ordered = sorted(facts, key=lambda fact: fact.held_at)
    now, then = refused(ordered, in_force), refused(ordered, proposed)
    partner_ids = sorted(
        {fact.partner_id for fact in ordered if fact.is_counted and fact.partner_id is not None}
    )
    return [
        Outcome(
            partner_id=partner_id,
            promised=_cell(ordered, partner_id, range(len(ordered))),
            refused_in_force=_cell(ordered, partner_id, now),
            refused_proposed=_cell(ordered, partner_id, then),
        )
        for partner_id in partner_ids
    ]


def refused(ordered: Sequence[Fact], rules: Rules) -> list[int]:
    """Return the places of the promises that earlier ones to their family stand against.

    What was refused stands against nothing.
    """
    standing: dict[int, list[Fact]] = {}
    found = []
    for place, fact in enumerate(ordered):
        others = standing.setdefault(fact.family, [])
        if any(
            (other.stands_until is None or other.stands_until > fact.held_at)
            and against(other.promise, fact.promise, rules)
            for other in others
        ):
            found.append(place)
        else:
            others.append(fact)
    return found


def suppressed(outcomes: Sequence[Outcome], *, own: UUID | None) -> list[Outcome]:
    """Leave out cells of fewer than five families; no family is told as none.

    What one promised oneself is told in any case. What of it is refused follows from what others
    promised: of one family it would tell what it gets from them.
    """
    return [
        Outcome(
            partner_id=outcome.partner_id,
            promised=outcome.promised if outcome.partner_id == own else _told(outcome.promised),
            refused_in_force=_told(outcome.refused_in_force),
            refused_proposed=_told(outcome.refused_proposed),
        )
        for outcome in outcomes
    ]


def total(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Sum all organisations; None where a cell is left out, for it would tell what that one is."""
    cells = [
        (outcome.promised, outcome.refused_in_force, outcome.refused_proposed)
        for outcome in outcomes
    ]
    columns = [[cell for cell in column if cell is not None] for column in zip(*cells, strict=True)]
    if not outcomes or any(len(column) < len(outcomes) for column in columns):
        return None
    promised, now, then = (_sum(column) for column in columns)
    return Outcome(
        partner_id=UUID(int=0), promised=promised, refused_in_force=now, refused_proposed=then
    )


def _cell(ordered: Sequence[Fact], partner_id: UUID, places: Sequence[int]) -> Cell:
    mine = [
        ordered[place]
        for place in places
        if ordered[place].is_counted and ordered[place].partner_id == partner_id
    ]
    return Cell(
        households=len({fact.family for fact in mine}),
        amounts=_by_currency(fact.money for fact in mine if fact.money is not None),
    )


def _told(cell: Cell | None) -> Cell | None:
    return None if cell is None or 0 < cell.households < CELL_MIN else cell


def _sum(cells: Sequence[Cell]) -> Cell:
    return Cell(
        households=sum(cell.households for cell in cells),
        amounts=_by_currency(each for cell in cells for each in cell.amounts),
    )


def _by_currency(amounts: Iterable[Money]) -> tuple[Money, ...]:
    sums: dict[str, Money] = {}
    for each in amounts:
        sums[each.currency] = sums[each.currency] + each if each.currency in sums else each
    return tuple(sums[currency] for currency in sorted(sums))
