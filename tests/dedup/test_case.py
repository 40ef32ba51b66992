from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.case import (
    CasePair,
    Judgement,
    evidence_digest,
    in_force,
    is_new_evidence,
    verdict_of,
)
from dedup.model import FieldEvidence
from tests.dedup.make import number

AT = datetime(2026, 6, 1, tzinfo=UTC)
STRONG = 20.0


def said(*verdicts):
    """Each verdict by an organisation of its own."""
    return [judgement(partner, verdict) for partner, verdict in enumerate(verdicts)]


def judgement(partner, verdict, *, judgement_id=None, supersedes=None):
    return Judgement(
        judgement_id=number(partner if judgement_id is None else judgement_id),
        case_id=number(1),
        verdict=verdict,
        actor_id=number(100 + partner),
        partner_id=number(partner),
        reason="",
        judged_at=AT,
        supersedes=None if supersedes is None else number(supersedes),
    )


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ((), None),
        (("same_person",), None),
        (("unresolved",), None),
        (("same_person", "same_person"), "same_person"),
        (("same_person", "different"), None),
        (("same_person", "different", "different"), "different"),
        (("same_person", "different", "relative"), None),
        (("unresolved", "unresolved"), None),
        (("unresolved", "different", "different"), "different"),
        (("different", "different", "relative", "relative"), None),
    ],
)
def test_two_organisations_and_more_than_for_any_other_verdict_decide(verdicts, verdict):
    assert verdict_of(said(*verdicts)) == verdict


def test_one_organisation_speaking_twice_is_one_voice():
    assert verdict_of([judgement(1, "different"), judgement(1, "different")]) is None


def test_a_word_that_was_taken_back_counts_no_more():
    first = [judgement(1, "same_household"), judgement(2, "same_household")]
    taken_back = [
        *first,
        judgement(1, "different", judgement_id=11, supersedes=1),
        judgement(1, "relative", judgement_id=12, supersedes=11),
    ]
    assert verdict_of(first) == "same_household"
    assert [one.verdict for one in in_force(taken_back)] == ["same_household", "relative"]
    assert verdict_of(taken_back) is None
    assert verdict_of([*taken_back, judgement(3, "relative")]) == "relative"


@given(
    st.lists(st.sampled_from(["same_person", "different", "unresolved"]), max_size=6), st.randoms()
)
def test_the_verdict_does_not_depend_on_the_order_of_judgements(verdicts, rng):
    judgements = said(*verdicts)
    mixed = list(judgements)
    rng.shuffle(mixed)
    assert verdict_of(mixed) == verdict_of(judgements)
    assert verdict_of(judgements) != "unresolved"


def pair(persons="1-2", weight=12.0, model="m1", **levels):
    """Two persons by number; fields by level, of which "yes…" speaks for one person."""
    one, _, other = persons.partition("-")
    return CasePair(
        person_a=number(int(one)),
        person_b=number(int(other)),
        model_id=model,
        weight_bits=weight,
        probability=0.5,
        evidence=tuple(
            FieldEvidence(
                field=field,
                level=level,
                bits=4.0 if level.startswith("yes") else 0.0 if level == "missing" else -4.0,
                kin_bits=0.0,
            )
            for field, level in (levels or {"name": "yes", "document": "missing"}).items()
        ),
    )


BASE = pair()


@pytest.mark.parametrize(
    ("found", "known", "is_new"),
    [
        # The same, less of it, or weaker: nothing new.
        ([BASE], [BASE], False),
        ([], [BASE], False),
        ([BASE], [BASE, pair("3-4")], False),
        ([pair(weight=9.0, name="no", document="missing")], [BASE], False),
        # Two others look alike.
        ([BASE, pair("3-4")], [BASE], True),
        ([pair("1-4")], [BASE], True),
        ([BASE], [], True),
        # The same two look more alike, all in all.
        ([pair(weight=30.0, name="yes", document="yes")], [BASE], True),
        ([pair(weight=13.0, name="no", document="yes")], [BASE], True),
        ([pair(weight=11.0, name="no", document="yes")], [BASE], False),
        # Another model weighs the same levels otherwise.
        ([pair(weight=40.0, model="m2")], [BASE], False),
        # Under another model a field speaks for one person that didn't.
        ([pair(weight=3.0, model="m2", name="yes", document="yes")], [BASE], True),
        ([pair(model="m2", name="yes", document="no")], [BASE], False),
        ([pair(model="m2", name="yes, better", document="missing")], [BASE], False),
        # What only the other model knows says nothing about what has changed.
        ([pair(model="m2", given="yes", phone="yes", document="missing")], [BASE], False),
        # Under another model two others must look strongly alike: its threshold may be lower.
        ([pair("3-4", weight=STRONG - 1, model="m2")], [BASE], False),
        ([pair("3-4", weight=STRONG, model="m2")], [BASE], True),
    ],
)
def test_evidence_is_new_when_it_says_more_than_what_was_decided_on(found, known, is_new):
    assert is_new_evidence(found, known, strong_bits=STRONG) is is_new


def test_a_digest_tells_persons_and_levels_and_neither_weights_nor_models():
    pairs = [BASE, pair("3-4", name="no", document="yes")]
    digest = evidence_digest(pairs)
    assert len(digest) == 32
    assert evidence_digest(reversed(pairs)) == digest
    assert evidence_digest([pair(weight=1.0, model="m2"), pairs[1]]) == digest
    assert evidence_digest([pair(document="missing", name="yes"), pairs[1]]) == digest
    for other in (
        [BASE],
        [pair("1-5"), pairs[1]],
        [pair(name="no", document="missing"), pairs[1]],
        [pair(name="missing", document="yes"), pairs[1]],
    ):
        assert evidence_digest(other) != digest


PAIRS = st.lists(
    st.builds(
        pair,
        st.sampled_from(["1-2", "1-4", "3-2", "3-4"]),
        st.integers(0, 40).map(float),
        st.sampled_from(["m1", "m2"]),
        name=st.sampled_from(["yes", "no", "missing"]),
    ),
    max_size=4,
    unique_by=lambda one: (one.person_a, one.person_b),
)


@given(PAIRS, PAIRS)
def test_what_a_digest_calls_the_same_is_never_new(found, known):
    if found and evidence_digest(found) == evidence_digest(known):
        assert not is_new_evidence(found, known, strong_bits=STRONG)
