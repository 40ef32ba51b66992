"""What a family is entitled to: the value table, its cap, the months, one payment per family."""

from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.entitlement import (
    Basis,
    Payee,
    ValueTable,
    compute,
    in_force,
    list_digest,
    months_between,
)

ROUND = UUID(int=1)
DAY = date(2026, 6, 1)
REASONS = ("open_case", "consent", "no_instrument", "erased", "paid_in_these_months")


def values(by_size=None, *, version=1, effective_from=DAY) -> ValueTable:
    return ValueTable(
        version=version,
        effective_from=effective_from,
        currency="PEN",
        by_size={1: 100, 2: 150, 3: 200} if by_size is None else by_size,
    )


def payee(place: int, *, size: int = 1, of: int | None = None, blocked=()) -> Payee:
    return Payee(
        enrolment_id=UUID(int=place),
        household_id=UUID(int=1_000 + place),
        beneficiary_id=UUID(int=2_000 + (place if of is None else of)),
        household_size=size,
        blocked=blocked,
    )


def basis(*tables: ValueTable, months: int = 1, **more) -> Basis:
    return Basis(tables=tables, first_month=date(2026, 7, 1), months=months, **more)


def amounts(payees, *, table=None, months=1):
    computed = compute(payees, basis(table or values(), months=months), round_id=ROUND)
    return {each.household_id.int - 1_000: each.money.amount_minor for each in computed}


@pytest.mark.parametrize("by_size", [{}, {2: 1}, {1: 1, 3: 1}, {0: 1, 1: 1}, {-1: 1}])
def test_a_value_table_with_a_gap_is_refused(by_size):
    with pytest.raises(ValueError, match="without a gap"):
        values(by_size)


@pytest.mark.parametrize(("size", "minor"), [(1, 100), (2, 150), (3, 200), (4, 200), (30, 200)])
def test_a_family_larger_than_the_table_gets_its_last_value(size, minor):
    assert amounts([payee(1, size=size)]) == {1: minor}


@pytest.mark.parametrize("months", [1, 2, 12])
def test_the_months_multiply(months):
    assert amounts([payee(1, size=2)], months=months) == {1: 150 * months}


@pytest.mark.parametrize("months", [0, -1, 13])
def test_a_round_covers_one_to_twelve_months(months):
    with pytest.raises(ValueError, match="1 to 12"):
        amounts([payee(1)], months=months)


@pytest.mark.parametrize("why", REASONS)
def test_who_is_blocked_is_left_out(why):
    assert amounts([payee(1, blocked=(why,)), payee(2)]) == {2: 100}


def test_a_family_with_two_enrolments_is_paid_once_by_the_earlier():
    assert amounts([payee(2, of=1, size=3), payee(1)]) == {1: 100}
    assert amounts([payee(2, of=1, size=3), payee(1, blocked=("consent",))]) == {2: 200}


def test_the_id_follows_from_round_and_family_alone():
    (one,) = compute([payee(1)], basis(values()), round_id=ROUND)
    two_months = basis(values(version=2), months=2)
    (two,) = compute([payee(5, of=1, size=3)], two_months, round_id=ROUND)
    (other,) = compute([payee(1)], basis(values()), round_id=uuid4())
    assert one.entitlement_id == two.entitlement_id != other.entitlement_id


PAYEES = st.lists(
    st.builds(
        payee,
        st.integers(0, 30),
        size=st.integers(1, 9),
        of=st.integers(0, 5),
        blocked=st.lists(st.sampled_from(REASONS), max_size=2).map(tuple),
    ),
    max_size=12,
    unique_by=lambda each: each.enrolment_id,
)


@given(PAYEES, st.randoms(use_true_random=False), st.integers(1, 12))
def test_the_order_of_the_payees_changes_nothing(payees, rng, months):
    shuffled = rng.sample(payees, len(payees))
    on = basis(values(), months=months)
    computed = compute(payees, on, round_id=ROUND)
    assert compute(shuffled, on, round_id=ROUND) == computed
    assert computed == sorted(computed, key=lambda each: each.entitlement_id)
    assert {each.beneficiary_id for each in computed} == {
        each.beneficiary_id for each in payees if not each.blocked
    }
    assert len({each.beneficiary_id for each in computed}) == len(computed)


def test_the_newest_table_that_is_effective_counts():
    old, new = values(version=1), values(version=2, effective_from=date(2026, 7, 1))
    mended = values(version=3)
    assert in_force([old, new], date(2026, 5, 31)) == ()
    assert in_force([old, new], date(2026, 6, 30)) == (old,)
    assert in_force([old, new], date(2026, 7, 1)) == (new,)
    assert in_force([mended, old], DAY) == (mended,)
    assert in_force([], DAY) == ()


@pytest.mark.parametrize(
    ("first", "after", "months"),
    [
        (date(2026, 1, 1), date(2026, 2, 1), 1),
        (date(2026, 11, 1), date(2027, 2, 1), 3),
        (date(2026, 1, 1), date(2026, 1, 1), 0),
        (date(2026, 2, 1), date(2026, 1, 1), -1),
    ],
)
def test_months_are_counted_without_the_last(first, after, months):
    assert months_between(first, after) == months


@pytest.mark.parametrize(
    ("first", "after"),
    [(date(2026, 1, 2), date(2026, 2, 1)), (date(2026, 1, 1), date(2026, 1, 31))],
)
def test_a_round_begins_and_ends_on_a_first(first, after):
    with pytest.raises(ValueError, match="first of a month"):
        months_between(first, after)


@given(st.lists(st.tuples(st.uuids(), st.integers(1, 10**9)), unique_by=lambda it: it[0]))
def test_the_digest_of_a_list_does_not_depend_on_its_order(rows):
    assert list_digest(rows) == list_digest(rows[::-1])
    if rows:
        assert list_digest(rows) != list_digest(rows[1:])
        assert list_digest(rows) != list_digest([(rows[0][0], rows[0][1] + 1), *rows[1:]])
