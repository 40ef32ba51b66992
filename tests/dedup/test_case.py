from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.case import Decision, Judgement, state, verdict_of
from tests.dedup.make import number

AT = datetime(2026, 6, 1, tzinfo=UTC)


def said(*verdicts):
    """Each verdict by an organisation of its own."""
    return [judgement(partner, verdict) for partner, verdict in enumerate(verdicts)]


def judgement(partner, verdict):
    return Judgement(
        judgement_id=number(partner),
        case_id=number(1),
        verdict=verdict,
        actor_id=number(100 + partner),
        partner_id=number(partner),
        reason="",
        judged_at=AT,
    )


@pytest.mark.parametrize(
    ("verdicts", "where", "verdict"),
    [
        ((), "open", None),
        (("same_person",), "second_review", None),
        (("unresolved",), "second_review", None),
        (("same_person", "same_person"), "decided", "same_person"),
        (("same_person", "different"), "disputed", None),
        (("same_person", "different", "different"), "decided", "different"),
        (("same_person", "different", "relative"), "disputed", None),
        (("unresolved", "unresolved"), "disputed", None),
        (("unresolved", "different", "different"), "decided", "different"),
        (("different", "different", "relative", "relative"), "disputed", None),
    ],
)
def test_a_case_moves_as_organisations_judge(verdicts, where, verdict):
    judgements = said(*verdicts)
    assert verdict_of(judgements) == verdict
    decision = Decision(case_id=number(1), verdict=verdict, decided_at=AT) if verdict else None
    assert state(judgements, decision) == where


def test_one_organisation_speaking_twice_is_one_voice():
    assert verdict_of([judgement(1, "different"), judgement(1, "different")]) is None


@given(
    st.lists(st.sampled_from(["same_person", "different", "unresolved"]), max_size=6), st.randoms()
)
def test_the_verdict_does_not_depend_on_the_order_of_judgements(verdicts, rng):
    judgements = said(*verdicts)
    mixed = list(judgements)
    rng.shuffle(mixed)
    assert verdict_of(mixed) == verdict_of(judgements)
    assert verdict_of(judgements) != "unresolved"
