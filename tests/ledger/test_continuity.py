from datetime import date, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ledger.continuity import Balances, continuity


def statement(n, opening, closing, lines=None, **changes) -> Balances:
    made = Balances(
        statement_id=UUID(int=n),
        account_token="a",
        currency="PEN",
        sequence=n,
        booked_on=date(2026, 3, 1) + timedelta(days=n),
        opening_minor=opening,
        closing_minor=closing,
        lines_minor=closing - opening if lines is None else lines,
    )
    return msgspec.structs.replace(made, **changes)


WHOLE = [statement(1, 0, 100), statement(2, 100, 40), statement(3, 40, 40)]


def kinds(statements):
    return [(found.kind, found.statement_id.int) for found in continuity(statements)]


def test_statements_that_follow_each_other_have_no_break():
    assert kinds(WHOLE) == []


def test_a_statement_whose_lines_do_not_add_up_is_named():
    found = continuity([statement(1, 0, 100, lines=90)])
    assert [(one.kind, one.expected_minor, one.actual_minor) for one in found] == [
        ("statement_unbalanced", 90, 100)
    ]


def test_a_missing_statement_is_named_by_the_one_after_it():
    assert kinds([WHOLE[0], WHOLE[2]]) == [("statement_gap", 3)]
    without_change = [statement(1, 0, 100), statement(3, 100, 100)]
    assert kinds(without_change) == [("statement_gap", 3)]


def test_accounts_and_years_are_kept_apart():
    other = statement(9, 7, 8, account_token="b")
    new_year = statement(1, 40, 50, statement_id=UUID(int=4), booked_on=date(2027, 1, 1))
    assert kinds([*WHOLE, other, new_year]) == []


@given(st.permutations([*WHOLE, statement(5, 1, 2, lines=0)]))
def test_the_order_of_the_statements_does_not_matter(statements):
    assert kinds(statements) == [("statement_unbalanced", 5), ("statement_gap", 5)]
