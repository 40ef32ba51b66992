from hypothesis import given
from hypothesis import strategies as st

from dedup.cluster import clusters
from tests.dedup.make import number

MEMBERS = st.integers(0, 12).map(number)
EDGES = st.lists(st.tuples(MEMBERS, MEMBERS), max_size=15)


def test_decided_pairs_that_touch_form_one_group():
    edges = [(number(4), number(2)), (number(9), number(7)), (number(2), number(1))]
    assert clusters(edges) == ((number(1), number(2), number(4)), (number(7), number(9)))


@given(EDGES, st.randoms())
def test_groups_do_not_depend_on_the_order_of_the_pairs(edges, rng):
    turned = [(b, a) if rng.random() < 0.5 else (a, b) for a, b in edges]
    rng.shuffle(turned)
    assert clusters(turned) == clusters(edges)


@given(EDGES)
def test_every_member_is_in_one_group_with_its_partners(edges):
    groups = clusters(edges)
    of = {member: group for group in groups for member in group}
    assert sum(map(len, groups)) == len(of)
    assert all(of[a] is of[b] for a, b in edges)
