"""Who is compared with whom, as a pure choice among those who share keys."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.candidates import Candidates, Limits, choose

LIMITS = Limits(per_key=2, per_document=4, per_person=3, scan_max=6)
DOCUMENT, NEAR, DATE, PAIR, ALL = 1, 2, 3, 4, 5
RULES = {
    DOCUMENT: "document",
    NEAR: "document-near",
    DATE: "token-date",
    PAIR: "pair-year",
    ALL: "all",
}


def people(first: int, last: int) -> list[UUID]:
    return [UUID(int=number) for number in range(first, last + 1)]


def chosen(sharing, *, own=(), keys=RULES) -> Candidates:
    crowds = frozenset(key for key, who in sharing.items() if len(who) > LIMITS.of(keys[key]))
    return choose(keys, sharing, crowds, own=own, limits=LIMITS)


def ids(found) -> list[int]:
    return sorted(one.int for one in found)


@pytest.mark.parametrize(
    ("sharing", "strong", "weak", "is_lost"),
    [
        ({}, [], [], False),
        ({PAIR: people(1, 2)}, [1, 2], [], False),
        ({DATE: people(1, 2)}, [], [1, 2], False),
        ({NEAR: people(1, 1), DATE: people(1, 2)}, [1], [2], False),
        # More than two share it: a crowd, which alone is no reason to compare anybody.
        ({PAIR: people(1, 3)}, [], [], False),
        ({DOCUMENT: people(1, 4)}, [1, 2, 3, 4], [], False),
        ({DOCUMENT: people(1, 5)}, [], [], True),
        # With another key it is, be that a crowd's as well.
        ({PAIR: people(1, 4), ALL: people(4, 7)}, [4], [], False),
        ({PAIR: people(1, 4), ALL: people(4, 5)}, [4, 5], [], False),
        ({PAIR: people(1, 4), DATE: people(4, 5)}, [4], [5], False),
        # The three who share most; that there were more is told.
        (
            {PAIR: people(1, 6), ALL: people(1, 6), DATE: people(5, 7)},
            [1, 5, 6],
            [],
            True,
        ),
        # More than can be looked through.
        ({PAIR: people(1, 7)}, [], [], True),
    ],
)
def test_who_is_compared(sharing, strong, weak, is_lost):
    found = chosen(sharing)
    assert (ids(found.strong), ids(found.weak), found.is_lost) == (strong, weak, is_lost)
    assert found.is_searched


def test_ones_own_household_is_left_out_and_takes_no_place():
    own = frozenset(people(1, 3))
    found = chosen({PAIR: people(1, 7), ALL: people(1, 6)}, own=own)
    assert ids(found.strong) == [4, 5, 6]


@pytest.mark.parametrize(
    ("keys", "sharing", "is_searched"),
    [
        ({}, {}, False),
        ({ALL: "all"}, {}, True),
        ({ALL: "all"}, {ALL: people(1, 2)}, True),
        ({ALL: "all"}, {ALL: people(1, 3)}, False),
        ({ALL: "all", PAIR: "pair-year"}, {ALL: people(1, 3), PAIR: people(4, 6)}, True),
    ],
)
def test_one_key_of_a_crowd_is_no_search(keys, sharing, is_searched):
    assert chosen(sharing, keys=keys).is_searched == is_searched


blocks = st.dictionaries(
    st.sampled_from(sorted(RULES)),
    st.lists(st.integers(1, 9), unique=True, min_size=1).map(
        lambda numbers: [UUID(int=number) for number in sorted(numbers)]
    ),
)


@given(blocks)
def test_the_order_changes_nothing_and_nobody_stands_twice(sharing):
    found = chosen(sharing)
    turned = {key: list(reversed(who)) for key, who in reversed(sharing.items())}
    other = chosen(turned, keys=dict(reversed(RULES.items())))
    assert ids(found.strong) == ids(other.strong)
    assert ids(found.weak) == ids(other.weak)
    assert (found.is_lost, found.is_searched) == (other.is_lost, other.is_searched)
    everybody = [*found.strong, *found.weak]
    assert len(everybody) == len(set(everybody))


@given(blocks)
def test_nobody_who_shares_two_keys_is_left_out_in_silence(sharing):
    found = chosen(sharing)
    by_two = {
        one
        for who in sharing.values()
        for one in who
        if sum(one in other for other in sharing.values()) > 1
    }
    assert by_two <= set(found.strong) or found.is_lost
