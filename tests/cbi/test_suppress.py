"""No cell that is left out can be derived from what is published, whoever adds and subtracts."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi.suppress import TOTAL, Published, TooSmall, ranges, suppress


def tables(rows: int = 5, columns: int = 3, most: int = 40):
    return st.integers(1, rows).flatmap(
        lambda high: st.integers(1, columns).flatmap(
            lambda wide: st.lists(
                st.lists(
                    st.one_of(st.integers(0, 6), st.integers(0, most)),
                    min_size=wide,
                    max_size=wide,
                ),
                min_size=high,
                max_size=high,
            )
        )
    )


def hidden_of(published: Published) -> set[tuple[int, int]]:
    cells = {
        (row, column)
        for row, shown in enumerate(published.cells)
        for column, value in enumerate(shown)
        if value is None
    }
    return cells | {(row, TOTAL) for row, value in enumerate(published.row_totals) if value is None}


def published_or_none(table, minimum) -> Published | None:
    try:
        return suppress(table, minimum=minimum)
    except TooSmall:
        return None


@given(tables(), st.integers(1, 10))
def test_what_is_published_is_true_and_never_small(table, minimum):
    published = published_or_none(table, minimum)
    totals = [sum(column) for column in zip(*table, strict=True)]
    if published is None:
        assert min(totals) < minimum
        return
    assert list(published.column_totals) == totals
    assert published.total == sum(totals)
    for row, shown, total in zip(table, published.cells, published.row_totals, strict=True):
        assert total in (None, sum(row))
        assert total is None or total >= minimum
        for value, told in zip(row, shown, strict=True):
            assert told in (None, value)
            assert told is None or told >= minimum


@given(tables(), st.integers(1, 10))
def test_every_cell_left_out_stays_as_uncertain_as_the_minimum(table, minimum):
    published = published_or_none(table, minimum)
    if published is None:
        return
    for least, most in ranges(table, hidden_of(published)).values():
        assert most - least >= minimum


def equations(published: Published) -> tuple[list[tuple[int, int]], list[list[Fraction]]]:
    """What the published sums say of the cells left out, as rows of a linear system."""
    unknown = sorted(hidden_of(published))
    rows, columns = len(published.cells), len(published.column_totals)
    system = []
    lines = [[(row, column) for column in range(columns)] for row in range(rows)]
    for row, line in enumerate(lines):
        found = [Fraction(place in line) for place in unknown]
        if (row, TOTAL) in unknown:
            found[unknown.index((row, TOTAL))] = Fraction(-1)
        system.append(found)
    for column in range(columns):
        line = [(row, column) for row in range(rows)]
        system.append([Fraction(place in line) for place in unknown])
    totals = [(row, TOTAL) for row in range(rows)]
    system.append([Fraction(place in totals) for place in unknown])
    return unknown, system


def rank(system: list[list[Fraction]]) -> int:
    rows, found = [list(row) for row in system], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in range(found, len(rows)) if rows[row][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for row in range(len(rows)):
            if row != found and rows[row][column]:
                factor = rows[row][column] / rows[found][column]
                rows[row] = [
                    one - factor * other for one, other in zip(rows[row], rows[found], strict=True)
                ]
        found += 1
    return found


@settings(max_examples=60)
@given(tables(rows=4), st.integers(1, 8))
def test_no_arithmetic_derives_a_cell_that_is_left_out(table, minimum):
    # Another way than the one the code takes: linear algebra over fractions.
    published = published_or_none(table, minimum)
    if published is None:
        return
    unknown, system = equations(published)
    for place in range(len(unknown)):
        alone = [Fraction(place == other) for other in range(len(unknown))]
        assert rank([*system, alone]) == rank(system) + 1


def all_tables(published: Published):
    """Every table of counts that agrees with what is published, by trying them all."""
    columns = [
        [
            cells
            for cells in product(*(_could_be(row[column], total) for row in published.cells))
            if sum(cells) == total
        ]
        for column, total in enumerate(published.column_totals)
    ]
    for chosen in product(*columns):
        rows = list(zip(*chosen, strict=True))
        sums = [sum(row) for row in rows]
        if all(told in (None, one) for told, one in zip(published.row_totals, sums, strict=True)):
            yield rows, sums


def _could_be(told: int | None, most: int) -> range:
    return range(most + 1) if told is None else range(told, told + 1)


@settings(max_examples=60)
@given(tables(rows=3, columns=2, most=7), st.integers(1, 4))
def test_the_ranges_are_what_trying_every_table_finds(table, minimum):
    published = published_or_none(table, minimum)
    if published is None:
        return
    found: dict[tuple[int, int], set[int]] = {}
    for rows, sums in all_tables(published):
        for row, column in hidden_of(published):
            value = sums[row] if column == TOTAL else rows[row][column]
            found.setdefault((row, column), set()).add(value)
    expected = {place: (min(values), max(values)) for place, values in found.items()}
    assert ranges(table, hidden_of(published)) == expected


@given(tables(), st.integers(1, 10))
def test_the_same_table_is_published_the_same_way(table, minimum):
    assert published_or_none(table, minimum) == published_or_none(table, minimum)


def test_one_small_cell_takes_its_neighbours_with_it():
    published = suppress([[30, 40], [3, 20], [9, 25]], minimum=5)
    assert published.cells == ((30, 40), (None, None), (None, None))
    assert published.row_totals == (70, 23, 34)
    assert (published.column_totals, published.total) == ((42, 85), 127)


def test_a_list_with_one_small_count_leaves_out_the_next_as_well():
    published = suppress([[50], [7], [2]], minimum=5)
    assert published.cells == ((50,), (None,), (None,))
    assert published.row_totals == (50, None, None)


@pytest.mark.parametrize("table", [[[4]], [[9, 0]], [[2, 9], [2, 9]]])
def test_where_a_total_is_small_nothing_is_published(table):
    with pytest.raises(TooSmall):
        suppress(table, minimum=5)


@pytest.mark.parametrize("table", [[], [[]], [[1], [1, 2]], [[-1]], [[1] * 300]])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(ValueError):  # noqa: PT011 -- a bug of the caller
        suppress(table, minimum=5)
