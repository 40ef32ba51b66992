"""What of the pairs that were matched goes to people, chunk by chunk."""

from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.rematch import Chosen, Population, chosen, chunks, ids, twice

A, B = UUID(int=101), UUID(int=102)
MODEL = SimpleNamespace(review_bits=20.0)


def everybody(registrations: list[int], partners: list[UUID] | None = None) -> Population:
    """People by the number of the registration they stand in, in order."""
    count = max(registrations, default=-1) + 1
    return Population(
        columns=SimpleNamespace(
            registration=np.array(registrations, dtype=np.int32),
            registrations=[UUID(int=1000 + number) for number in range(count)],
            person_ids=[UUID(int=row) for row in range(len(registrations))],
        ),
        partners=partners or [A] * count,
        households=count,
        broken=[],
        packed=[],
    )


def matched(*pairs: tuple[int, int, float, bool]) -> SimpleNamespace:
    columns = list(zip(*pairs, strict=True)) or [(), (), (), ()]
    return SimpleNamespace(
        a=np.array(columns[0], dtype=np.int32),
        b=np.array(columns[1], dtype=np.int32),
        weight_bits=np.array(columns[2], dtype=np.float64),
        kept=np.array(columns[3], dtype=np.bool_),
        household=np.arange(len(pairs), dtype=np.uint8),
    )


def rows(pairs: Chosen) -> list[tuple[int, int]]:
    return list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))


def test_people_see_what_was_kept_is_strong_enough_and_of_two_registrations():
    people = everybody([0, 0, 1, 1, 2])
    found = matched(
        (0, 2, 25.0, True),
        (0, 3, 24.0, False),  # the weaker of two
        (1, 4, 19.9, True),  # too weak
        (2, 3, 30.0, True),  # entered twice in one registration
        (1, 3, 20.0, True),
        (2, 4, 40.0, True),
    )
    pairs = chosen(people, found, MODEL)
    assert rows(pairs) == [(0, 2), (1, 3), (2, 4)]
    assert pairs.household.tolist() == [0, 4, 5]
    assert twice(people, found) == 1


def test_of_some_partners_only_pairs_with_a_side_of_theirs():
    people = everybody([0, 1, 2, 3], [A, B, A, A])
    found = matched((0, 1, 30.0, True), (0, 2, 30.0, True), (1, 3, 30.0, True), (2, 3, 30.0, True))
    assert rows(chosen(people, found, MODEL, partner_ids=[B])) == [(0, 1), (1, 3)]
    assert len(chosen(people, found, MODEL, partner_ids=[A, B])) == 4
    assert len(chosen(people, found, MODEL, partner_ids=[UUID(int=9)])) == 0


def test_ids_are_those_of_the_rows():
    (one,) = ids(chosen(people := everybody([0, 1]), matched((0, 1, 30.0, True)), MODEL), people)
    assert (one.person_a, one.person_b) == (UUID(int=0), UUID(int=1))
    assert (one.household_a, one.household_b) == (UUID(int=1000), UUID(int=1001))


SIZES = st.lists(st.integers(1, 5), min_size=2, max_size=6)


@given(sizes=SIZES, most=st.integers(1, 12), data=st.data())
def test_chunks_hold_every_pair_once_and_never_part_two_registrations(sizes, most, data):
    registrations = [number for number, size in enumerate(sizes) for _ in range(size)]
    people = everybody(registrations)
    possible = [
        (a, b)
        for b in range(len(registrations))
        for a in range(b)
        if registrations[a] != registrations[b]
    ]
    some = data.draw(st.lists(st.sampled_from(possible), unique=True).map(sorted))
    pairs = chosen(people, matched(*((a, b, 30.0, True) for a, b in some)), MODEL)
    cut = [rows(chunk) for chunk in chunks(pairs, people, most=most)]
    assert [pair for chunk in cut for pair in chunk] == rows(pairs)
    homes = [{(registrations[a], registrations[b]) for a, b in chunk} for chunk in cut]
    assert sum(map(len, homes)) == len(set().union(*homes)) if homes else not some
    # A chunk is larger than allowed only where two registrations alone are.
    assert all(len(chunk) <= most or len(home) == 1 for chunk, home in zip(cut, homes, strict=True))


@pytest.mark.parametrize("most", [1, 1000])
def test_no_pairs_make_no_chunk(most):
    people = everybody([0, 1])
    assert list(chunks(chosen(people, matched(), MODEL), people, most=most)) == []
