"""The answer of an import: every row is told, and no more faults than an answer may hold."""

from uuid import UUID

import msgspec

from api.imports import FAULTS_TOLD_MAX, RowFault, RowResult, summary


def row(number, faults, status="faulty"):
    """A row's result with so many faults, each told apart by its column."""
    return RowResult(
        row=number,
        status=status,
        household_id=None if status == "faulty" else UUID(int=number),
        faults=tuple(
            RowFault(row=number, column=f"{place}", code="x", level="error", es="Es.", en="En.")
            for place in range(faults)
        ),
    )


def test_an_answer_of_few_faults_tells_them_all():
    results = [row(1, 2), row(2, 0, "clear"), row(3, 1, "review")]
    answer = summary(results)
    assert (answer.households, answer.clear, answer.review, answer.faulty) == (3, 1, 1, 1)
    assert (answer.rows, answer.faults_left_out) == (results, 0)
    assert msgspec.json.decode(msgspec.json.encode(answer))["faults_left_out"] == 0


def test_an_answer_tells_the_first_faults_and_counts_those_left_out():
    results = [row(number, 501) for number in range(1, 1_001)]
    answer = summary(results)
    assert [len(each.faults) for each in answer.rows] == [501, 499, *([0] * 998)]
    assert answer.rows[1].faults == results[1].faults[:499]
    assert answer.faults_left_out == 501 * 1_000 - FAULTS_TOLD_MAX
    assert len(msgspec.json.encode(answer)) < 250_000


def test_a_row_beyond_the_limit_keeps_its_status_and_its_household():
    answer = summary([row(1, FAULTS_TOLD_MAX), row(2, 1, "review"), row(3, 1), row(4, 0, "clear")])
    assert answer.faults_left_out == 2
    assert [(each.row, each.status, each.household_id) for each in answer.rows[1:]] == [
        (2, "review", UUID(int=2)),
        (3, "faulty", None),
        (4, "clear", UUID(int=4)),
    ]
    assert all(each.faults == () for each in answer.rows[1:])
    assert (answer.review, answer.faulty) == (1, 2)
