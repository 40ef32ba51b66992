"""Publish a table of counts without telling the small ones, neither outright nor by subtraction.

A table has rows and columns and both their totals. Cells under a minimum are left out; then more
are, until whoever adds and subtracts what is published knows no cell that was left out to less than
a range as wide as the minimum. The ranges are exact: the published sums make every table that could
be the true one, and the least and the most that a cell is in any of them is a question of flows in
a network (Kelly, Golden, Assad 1992): rows and columns are its nodes, cells its edges.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NewType

import msgspec

Node = NewType("Node", tuple[str, int])
Place = tuple[int, int]  # row and column; TOTAL stands for all of them
TOTAL = -1
# More than a table to publish has; the search is quadratic in its cells.
CELLS_MAX = 200

_SOURCE, _SINK = Node(("source", 0)), Node(("sink", 0))


class TooSmall(Exception):
    """The totals that must be published are themselves too small to be."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A table to publish, rows and columns in the order given; None is left out."""

    cells: tuple[tuple[int | None, ...], ...]
    row_totals: tuple[int | None, ...]
    column_totals: tuple[int, ...]
    total: int


def suppress(table: Sequence[Sequence[int]], *, minimum: int) -> Published:
    """Leave out what is under `minimum`, and what would tell it.

    Totals of columns and the total are published always, because other tables of the same things
    show them as well; they bound what any cell can be. Raises TooSmall when one of them is under
    `minimum`: then nothing of the table may be published. ValueError for what is no table of
    counts.
    """
    _check(table, minimum)
    values = dict(_all_places(table))
    fixed = {place for place in values if place[0] == TOTAL}
    if any(values[place] < minimum for place in fixed):
        raise TooSmall
    hidden = {place for place, value in values.items() if value < minimum}
    while exposed := _exposed(values, hidden, minimum):
        more = _next_to_hide(values, hidden, fixed, exposed)
        # With everything left out, a cell can be anything up to the total of its column.
        assert more is not None
        # Of a list, a cell and the total of its row are one number.
        hidden |= {more} if len(table[0]) > 1 else {(more[0], 0), (more[0], TOTAL)}
    rows, columns = range(len(table)), range(len(table[0]))

    def shown(place: Place) -> int | None:
        return None if place in hidden else values[place]

    return Published(
        cells=tuple(tuple(shown((row, column)) for column in columns) for row in rows),
        row_totals=tuple(shown((row, TOTAL)) for row in rows),
        column_totals=tuple(values[TOTAL, column] for column in columns),
        total=values[TOTAL, TOTAL],
    )


def ranges(table: Sequence[Sequence[int]], hidden: set[Place]) -> dict[Place, tuple[int, int]]:
    """Return the least and the most that each hidden cell can be, given all that is published.

    Whoever computes this knows that counts aren't negative, and nothing else.
    """
    values = dict(_all_places(table))
    return {place: _range(values, hidden, place) for place in sorted(hidden)}


def _check(table: Sequence[Sequence[int]], minimum: int) -> None:
    if not table or not table[0] or len({len(row) for row in table}) != 1:
        raise ValueError("a table has rows and columns, and all rows are as long")
    if len(table) * len(table[0]) > CELLS_MAX:
        raise ValueError(f"more than {CELLS_MAX} cells")
    if minimum < 1 or any(value < 0 for row in table for value in row):
        raise ValueError("counts are 0 or more, and a minimum is 1 or more")


def _all_places(table: Sequence[Sequence[int]]) -> Iterator[tuple[Place, int]]:
    for row, cells in enumerate(table):
        for column, value in enumerate(cells):
            yield (row, column), value
        yield (row, TOTAL), sum(cells)
    for column in range(len(table[0])):
        yield (TOTAL, column), sum(cells[column] for cells in table)
    yield (TOTAL, TOTAL), sum(map(sum, table))


def _exposed(values: Mapping[Place, int], hidden: set[Place], minimum: int) -> list[Place]:
    """Return the hidden cells whose range is narrower than the minimum."""
    found = []
    for place in sorted(hidden):
        least, most = _range(values, hidden, place)
        if most - least < minimum:
            found.append(place)
    return found


def _next_to_hide(
    values: Mapping[Place, int], hidden: set[Place], fixed: set[Place], exposed: Sequence[Place]
) -> Place | None:
    """Choose the smallest published cell of an exposed one's row or column, else of any.

    Totals of rows go last: they are what readers look for.
    """
    open_to = [place for place in values if place not in hidden and place not in fixed]
    rows = {place[0] for place in exposed}
    columns = {place[1] for place in exposed}
    near = [place for place in open_to if place[0] in rows or place[1] in columns]
    return min(
        near or open_to,
        key=lambda place: (place[1] == TOTAL, values[place], place),
        default=None,
    )


def _ends(place: Place) -> tuple[Node, Node]:
    """Return the nodes that a cell's edge joins.

    What flows into a row flows out through its cells, and likewise for columns: that each total is
    the sum of its cells is that nothing is lost at a node.
    """
    row, column = place
    begin = _SOURCE if row == TOTAL else Node(("row", row))
    end = _SINK if column == TOTAL else Node(("column", column))
    assert place != (TOTAL, TOTAL)  # published always
    if column == TOTAL:
        return _SOURCE, begin
    return (end, _SINK) if row == TOTAL else (begin, end)


def _range(values: Mapping[Place, int], hidden: set[Place], place: Place) -> tuple[int, int]:
    begin, end = _ends(place)
    others = hidden - {place}
    more = _flow(values, others, begin=end, end=begin)
    less = _flow(values, others, begin=begin, end=end)
    return values[place] - min(values[place], less), values[place] + more


def _flow(values: Mapping[Place, int], edges: set[Place], *, begin: Node, end: Node) -> int:
    """Return how much more can flow from `begin` to `end` through hidden cells.

    One can grow as far as others shrink, and shrink to nothing.
    """
    room: dict[Node, dict[Node, int]] = {}
    for place in edges:
        here, there = _ends(place)
        room.setdefault(here, {})[there] = values[TOTAL, TOTAL]
        room.setdefault(there, {})[here] = values[place]
    flowed = 0
    while path := _path(room, begin, end):
        step = min(room[here][there] for here, there in path)
        flowed += step
        for here, there in path:
            room[here][there] -= step
            room[there][here] += step
    return flowed


def _path(
    room: Mapping[Node, Mapping[Node, int]], begin: Node, end: Node
) -> list[tuple[Node, Node]]:
    """Return a shortest way on which there is room; empty without one."""
    came: dict[Node, Node] = {}
    waiting = deque([begin])
    while waiting and end not in came:
        here = waiting.popleft()
        for there, left in room.get(here, {}).items():
            if left > 0 and there not in came and there != begin:
                came[there] = here
                waiting.append(there)
    if end not in came:
        return []
    path = [(came[end], end)]
    while path[-1][0] != begin:
        path.append((came[path[-1][0]], path[-1][0]))
    return path
