import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.cluster import FAMILY_REGISTRATIONS_MAX, Conflict, Tie, clusters, families, groups
from tests.dedup.make import number

MEMBERS = st.integers(0, 12).map(number)
EDGES = st.lists(st.tuples(MEMBERS, MEMBERS), max_size=15)


def test_pairs_that_touch_form_one_group():
    edges = [(number(4), number(2)), (number(9), number(7)), (number(2), number(1))]
    assert clusters(edges) == ((number(1), number(2), number(4)), (number(7), number(9)))


@given(EDGES, st.randoms())
def test_groups_do_not_depend_on_the_order_of_the_pairs(edges, rng):
    turned = [(b, a) if rng.random() < 0.5 else (a, b) for a, b in edges]
    rng.shuffle(turned)
    assert clusters(turned) == clusters(edges)


@given(EDGES)
def test_every_member_is_in_one_group_with_its_partners(edges):
    found = clusters(edges)
    of = {member: group for group in found for member in group}
    assert sum(map(len, found)) == len(of)
    assert all(of[a] is of[b] for a, b in edges)


def test_cases_that_share_a_household_are_a_group_named_by_the_smallest():
    cases = [
        (number(50 + place), number(a), number(b))
        for place, (a, b) in enumerate([(1, 2), (7, 8), (2, 3), (4, 3), (8, 9)])
    ]
    found = groups(reversed(cases))
    assert {case_id.int: (one.group_id.int, one.size) for case_id, one in found.items()} == {
        50: (50, 3), 52: (50, 3), 53: (50, 3), 51: (51, 2), 54: (51, 2)
    }  # fmt: skip
    assert groups([]) == {}


def ties(*said: str) -> list[Tie]:
    """Decisions in the order in which they were taken: "1=2" joins, "1|2" speaks against it."""
    made = []
    for place, one in enumerate(said):
        a, joins, b = one.partition("=") if "=" in one else one.partition("|")
        made.append(
            Tie(
                case_id=number(100 + place),
                household_a=number(int(a)),
                household_b=number(int(b)),
                joins=joins == "=",
                decision_no=place,
            )
        )
    return made


def placed(*said: str, of: int = 6):
    """Families of two or more, and the decisions not carried out with what speaks against them."""
    found = families(map(number, range(1, of + 1)), ties(*said))
    together = {tuple(m.int for m in family) for family in found.families if len(family) > 1}
    conflicts = {
        said[one.case_id.int - 100]: {said[against.int - 100] for against in one.contradicted_by}
        for one in found.conflicts
    }
    return together, conflicts


@pytest.mark.parametrize(
    ("said", "together", "conflicts"),
    [
        ((), set(), {}),
        (("1=2", "2=3"), {(1, 2, 3)}, {}),
        (("1|2", "3=4"), {(3, 4)}, {}),
        # The chain breaks at the decision that came last, wherever the contradiction came.
        (("1=2", "2=3", "1|3"), {(1, 2)}, {"2=3": {"1|3"}}),
        (("1|3", "1=2", "2=3"), {(1, 2)}, {"2=3": {"1|3"}}),
        (("2=3", "1|3", "1=2"), {(2, 3)}, {"1=2": {"1|3"}}),
        # Others are not drawn in.
        (("1=2", "3=4", "2=3", "1|4", "5=6"), {(1, 2), (3, 4), (5, 6)}, {"2=3": {"1|4"}}),
        (("1=2", "2=3", "3=4", "1|4"), {(1, 2, 3)}, {"3=4": {"1|4"}}),
        (("1=2", "3=4", "1|3", "2|4", "2=3"), {(1, 2), (3, 4)}, {"2=3": {"1|3", "2|4"}}),
        # A ring that closes says nothing new.
        (("1=2", "2=3", "1=3"), {(1, 2, 3)}, {}),
    ],
)
def test_decisions_join_unless_others_contradict_them(said, together, conflicts):
    assert placed(*said) == (together, conflicts)


def test_a_family_has_a_largest_size():
    chain = [f"{place}={place + 1}" for place in range(1, FAMILY_REGISTRATIONS_MAX + 1)]
    found = families(map(number, range(1, FAMILY_REGISTRATIONS_MAX + 2)), ties(*chain))
    assert [len(family) for family in found.families] == [FAMILY_REGISTRATIONS_MAX, 1]
    last = number(100 + len(chain) - 1)
    assert found.conflicts == (Conflict(case_id=last, because="too_large", contradicted_by=()),)


SIZE = 7
PLACES = st.integers(1, SIZE)
DECISIONS = st.lists(st.tuples(PLACES, PLACES, st.booleans()), max_size=14).map(
    lambda said: ties(
        *{
            frozenset((a, b)): f"{min(a, b)}{'=' if joins else '|'}{max(a, b)}"
            for a, b, joins in said
            if a != b
        }.values()
    )
)


@given(DECISIONS, st.randoms())
def test_families_do_not_depend_on_the_order_of_what_is_given(decisions, rng):
    households = [number(place) for place in range(1, SIZE + 1)]
    found = families(households, decisions)
    rng.shuffle(households)
    rng.shuffle(decisions)
    assert families(households, decisions) == found


@given(DECISIONS)
def test_nobody_is_joined_against_a_decision_or_parted_without_one(decisions):
    found = families(map(number, range(1, SIZE + 1)), decisions)
    of = {member: family for family in found.families for member in family}
    assert len(of) == SIZE == sum(map(len, found.families))
    joining = [tie for tie in decisions if tie.joins]
    against = {(tie.household_a, tie.household_b) for tie in decisions if not tie.joins}
    assert not any(of[a] == of[b] for a, b in against)
    # Each family hangs together by decisions alone.
    inside = [
        (t.household_a, t.household_b) for t in joining if of[t.household_a] == of[t.household_b]
    ]
    assert {*clusters(inside)} == {family for family in found.families if len(family) > 1}
    # What was not carried out is told, with what speaks against it, and nothing else is.
    apart = {t.case_id for t in joining if of[t.household_a] != of[t.household_b]}
    assert {conflict.case_id for conflict in found.conflicts} == apart
    by_case = {tie.case_id: tie for tie in decisions}
    for conflict in found.conflicts:
        tie = by_case[conflict.case_id]
        assert conflict.contradicted_by
        for case_id in conflict.contradicted_by:
            other = by_case[case_id]
            assert {of[other.household_a], of[other.household_b]} == {
                of[tie.household_a],
                of[tie.household_b],
            }
