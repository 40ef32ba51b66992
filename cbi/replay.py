"""Try rules on what was promised: which promises they would have refused, and how much that was.

Pure: facts in, figures out. Rules that allow more show by what they would not have refused: of the
promises, and of the attempts that were refused in their day. An attempt that is let through stands
in nobody's way, for it never was a promise.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from cbi.overlap import Promise, Rules, against
from cbi.suppress import TooSmall, suppress
from ledger.money import Money

# A cell of fewer families is not shown of another organisation.
CELL_MIN = 5
# To an organisation households are told in fives.
STEP = 5
# What one did oneself.
KNOWN_ANYWAY = frozenset({"promised", "attempts"})


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A promise to a family (a number that means nothing elsewhere), and whether it is counted.

    Unless `is_promise`, it was refused.

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
    is_promise: bool = True


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Families, and what entitlements promised to them, a sum for each currency."""

    households: int
    amounts: tuple[Money, ...]


NOBODY = Cell(households=0, amounts=())


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation promised, and what of it rules refuse; None is too few to tell.

    `attempts` were refused in their day; which of them rules let through has no amount.
    """

    partner_id: UUID
    promised: Cell | None
    refused_in_force: Cell | None
    refused_proposed: Cell | None
    attempts: Cell | None = NOBODY
    let_in_force: Cell | None = NOBODY
    let_proposed: Cell | None = NOBODY


COLUMNS = tuple(name for name in Outcome.__struct_fields__ if name != "partner_id")


def simulate(facts: Sequence[Fact], *, in_force: Rules, proposed: Rules) -> list[Outcome]:
    """Replay the promises in their order under both rule sets; organisations by id."""
    ordered = sorted(facts, key=lambda fact: fact.held_at)
    promises = [place for place, fact in enumerate(ordered) if fact.is_promise]
    attempts = [place for place, fact in enumerate(ordered) if not fact.is_promise]
    now, then = set(refused(ordered, in_force)), set(refused(ordered, proposed))
    partner_ids = sorted(
        {fact.partner_id for fact in ordered if fact.is_counted and fact.partner_id is not None}
    )
    return [
        Outcome(
            partner_id=partner_id,
            promised=_cell(ordered, partner_id, promises),
            refused_in_force=_cell(ordered, partner_id, now.intersection(promises)),
            refused_proposed=_cell(ordered, partner_id, then.intersection(promises)),
            attempts=_cell(ordered, partner_id, attempts),
            let_in_force=_cell(ordered, partner_id, set(attempts) - now),
            let_proposed=_cell(ordered, partner_id, set(attempts) - then),
        )
        for partner_id in partner_ids
    ]


def refused(ordered: Sequence[Fact], rules: Rules) -> list[int]:
    """Return the places of the facts that earlier promises to their family stand against.

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
        elif fact.is_promise:
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
            **{
                name: cell if outcome.partner_id == own and name in KNOWN_ANYWAY else _told(cell)
                for name, cell in _cells(outcome).items()
            },
        )
        for outcome in outcomes
    ]


def rounded(outcome: Outcome) -> Outcome:
    """Tell an organisation of its own figures what tells nothing of single families.

    Households are rounded to fives. What rules do to few is left out, and then what they don't do
    as well, which would tell it; no amount is told but that of all it promised.
    """
    promised, attempts = outcome.promised, outcome.attempts
    assert promised is not None
    assert attempts is not None
    return Outcome(
        partner_id=outcome.partner_id,
        promised=_rounded(promised.households, promised.amounts),
        refused_in_force=_part(outcome.refused_in_force, promised),
        refused_proposed=_part(outcome.refused_proposed, promised),
        attempts=_rounded(attempts.households),
        let_in_force=_part(outcome.let_in_force, attempts),
        let_proposed=_part(outcome.let_proposed, attempts),
    )


def total(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Sum all organisations; None where a cell is left out, for it would tell what that one is."""
    columns = {
        name: [cell for each in outcomes if (cell := getattr(each, name)) is not None]
        for name in COLUMNS
    }
    if not outcomes or any(len(column) < len(outcomes) for column in columns.values()):
        return None
    return Outcome(
        partner_id=UUID(int=0), **{name: _sum(column) for name, column in columns.items()}
    )


def _cells(outcome: Outcome) -> dict[str, Cell | None]:
    return {name: getattr(outcome, name) for name in COLUMNS}


def _rounded(households: int, amounts: tuple[Money, ...] = ()) -> Cell | None:
    if households < CELL_MIN:
        return None
    return Cell(households=(households + STEP // 2) // STEP * STEP, amounts=amounts)


def _part(part: Cell | None, whole: Cell) -> Cell | None:
    """Tell a part of a whole that is told as well, if neither it nor the rest is small."""
    assert part is not None
    table = [[part.households], [whole.households - part.households]]
    try:
        (shown, _) = suppress(table, minimum=CELL_MIN).row_totals
    except TooSmall:
        return None
    return None if shown is None else _rounded(shown)


def _cell(ordered: Sequence[Fact], partner_id: UUID, places: Iterable[int]) -> Cell:
    mine = [
        ordered[place]
        for place in sorted(places)
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
