"""Rules of eligibility are data: read with limits, and answered yes, no or unknown with reasons."""

from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.eligibility import (
    CONDITIONS_MAX,
    DEPTH_MAX,
    OPERATORS,
    OPPOSITE,
    Span,
    answer,
    facts_asked,
    read,
)
from cbi.eligibility_words import FACTS_ES_EN, OPERATORS_ES_EN
from cbi.facts import Known, facts_of
from cbi.person import Person
from cbi.term_refusal import InvalidTerm

DAY = date(2026, 7, 1)


def size(operator: str, value: object) -> dict:
    return {"fact": "size", "is": operator, "value": value}


def verdict(raw: object, **facts) -> str:
    return answer(read(raw), facts).verdict


FOUR = {"size": Span(4, 4)}


@pytest.mark.parametrize(
    ("raw", "facts", "wanted"),
    [
        (size(">=", 4), FOUR, "yes"),
        (size(">", 4), FOUR, "no"),
        (size("=", 4), FOUR, "yes"),
        (size("!=", 4), FOUR, "no"),
        (size("<", 4.5), FOUR, "yes"),
        (size(">=", 3), {"size": Span(2, 4)}, "unknown"),
        (size("=", 5), {"size": Span(2, 4)}, "no"),
        (size("=", 3), {"size": Span(2, 4)}, "unknown"),
        (size("<=", 4), {"size": Span(2, 4)}, "yes"),
        (size(">=", 3), {}, "unknown"),
        ({"not": size(">=", 4)}, FOUR, "no"),
        ({"not": {"not": size(">=", 4)}}, FOUR, "yes"),
        ({"fact": "area", "is": "within", "value": ["24", "1501"]}, {"area": "240101"}, "yes"),
        ({"fact": "area", "is": "not_within", "value": ["2402"]}, {"area": "240101"}, "yes"),
        (
            {"fact": "population_type", "is": "in", "value": ["in_transit", "pendular"]},
            {"population_type": "in_destination"},
            "no",
        ),
        ({"fact": "intention", "is": "=", "value": "stay"}, {"intention": "stay"}, "yes"),
        ({"fact": "single_parent", "is": "=", "value": True}, {"single_parent": False}, "no"),
        ({"fact": "single_parent", "is": "!=", "value": True}, {"single_parent": False}, "yes"),
        (
            {"fact": "specific_needs", "is": "has", "value": "disability"},
            {"specific_needs": frozenset({"disability"})},
            "yes",
        ),
        (
            {"fact": "specific_needs", "is": "has_not", "value": "disability"},
            {"specific_needs": frozenset()},
            "yes",
        ),
    ],
)
def test_a_condition_is_answered(raw, facts, wanted):
    assert verdict(raw, **facts) == wanted


YES, NO, UNKNOWN = size(">", 0), size("<", 0), {"fact": "age_of_head", "is": ">", "value": 60}


@pytest.mark.parametrize("places", list(product([YES, NO, UNKNOWN], repeat=3)))
def test_a_missing_fact_makes_no_no_where_it_does_not_matter(places):
    """Kleene's logic: all is no by one no, any is yes by one yes, whatever is missing."""
    all_ = "no" if NO in places else "unknown" if UNKNOWN in places else "yes"
    any_ = "yes" if YES in places else "unknown" if UNKNOWN in places else "no"
    facts = {"size": Span(1, 1)}
    assert verdict({"all": list(places)}, **facts) == all_
    assert verdict({"any": list(places)}, **facts) == any_
    turned = {"yes": "no", "no": "yes", "unknown": "unknown"}
    assert verdict({"not": {"all": list(places)}}, **facts) == turned[all_]
    assert verdict({"not": {"any": list(places)}}, **facts) == turned[any_]


def test_the_reasons_are_the_conditions_that_keep_it_from_a_yes():
    rule = read({"all": [size(">=", 5), YES, {"any": [UNKNOWN, size(">", 9)]}]})
    told = answer(rule, FOUR)
    assert told.verdict == "no"
    assert [(each.fact, each.value, each.is_known) for each in told.reasons] == [("size", 5, True)]
    assert told.reasons[0].en == "Not met: household size at least 5"
    assert told.reasons[0].es == "No cumple: tamaño del hogar al menos 5"
    (missing,) = answer(read({"all": [YES, UNKNOWN]}), FOUR).reasons
    assert (missing.is_known, missing.en) == (False, "Not known: age of the head more than 60")
    assert answer(read({"any": [UNKNOWN, YES]}), FOUR).reasons == ()


def test_a_score_is_asked_of_one_version_of_one_model():
    raw = {"fact": "score", "model": "smep", "version": "2", "is": ">=", "value": 40}
    assert verdict(raw) == "unknown"
    assert answer(read(raw), {("smep", "2"): Span(41.5, 41.5)}).verdict == "yes"
    assert answer(read(raw), {("smep", "1"): Span(41.5, 41.5)}).verdict == "unknown"
    assert answer(read(raw), {}).reasons[0].en == "Not known: score smep 2 at least 40"


def deep(levels: int) -> dict:
    raw: dict = YES
    for _ in range(levels):
        raw = {"all": [raw]}
    return raw


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, ("rule",)),
        ([], ("rule",)),
        ("size > 3", ("rule",)),
        ({"all": []}, ("rule",)),
        ({"all": [YES], "any": [YES]}, ("rule",)),
        ({"fact": "nationality", "is": "=", "value": "VEN"}, ("rule", "fact")),
        ({"fact": ["size"], "is": "=", "value": 1}, ("rule", "fact")),
        ({"fact": "__class__", "is": "=", "value": 1}, ("rule", "fact")),
        (size("==", 3), ("rule", "is")),
        (size([], 3), ("rule", "is")),
        (size(">", "3"), ("rule", "value")),
        (size(">", True), ("rule", "value")),
        (size(">", float("nan")), ("rule", "value")),
        (size(">", 1e300), ("rule", "value")),
        (size(">", 3) | {"model": "x"}, ("rule",)),
        ({"all": [YES, {"any": [size(">", None)]}]}, ("rule", "all", 1, "any", 0, "value")),
        ({"fact": "specific_needs", "is": "has", "value": "gbv_survivor"}, ("rule", "value")),
        ({"fact": "specific_needs", "is": "has_not", "value": "gbv_survivor"}, ("rule", "value")),
        ({"fact": "area", "is": "within", "value": "24"}, ("rule", "value")),
        ({"fact": "area", "is": "within", "value": ["2"]}, ("rule", "value")),
        ({"fact": "intention", "is": "=", "value": "not_stated"}, ("rule", "value")),
        ({"fact": "population_type", "is": "in", "value": []}, ("rule", "value")),
        ({"fact": "score", "is": ">", "value": 1}, ("rule",)),
        (
            {"fact": "score", "model": "a\x00", "version": "1", "is": ">", "value": 1},
            ("rule", "model"),
        ),
        ({"any": [YES] * (CONDITIONS_MAX + 1)}, ("rule", "any", CONDITIONS_MAX)),
        (deep(DEPTH_MAX), ()),
    ],
)
def test_a_faulty_rule_is_refused_with_its_place(raw, path):
    with pytest.raises(InvalidTerm) as refused:
        read(raw)
    assert tuple(refused.value.path)[: len(path)] == path


def test_a_rule_is_as_deep_and_as_long_as_it_may_be():
    assert answer(read(deep(DEPTH_MAX - 1)), FOUR).verdict == "yes"
    assert facts_asked(read({"any": [YES] * (CONDITIONS_MAX - 1) + [UNKNOWN]})) == {
        "size",
        "age_of_head",
    }


def test_every_operator_has_its_opposite_and_every_word_two_languages():
    operators = {each for kind in OPERATORS.values() for each in kind}
    assert set(OPPOSITE) == operators == set(OPERATORS_ES_EN)
    assert all(es and en for es, en in (*FACTS_ES_EN.values(), *OPERATORS_ES_EN.values()))


NUMBERS = st.integers(0, 9)
RULES = st.recursive(
    st.builds(size, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), NUMBERS),
    lambda inner: st.builds(
        lambda word, rules: {"not": rules[0]} if word == "not" else {word: rules},
        st.sampled_from(["all", "any", "not"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


def by_hand(raw: dict, number: int) -> bool:
    """What the rule says of a number that is known."""
    if "not" in raw:
        return not by_hand(raw["not"], number)
    if "all" in raw:
        return all(by_hand(each, number) for each in raw["all"])
    if "any" in raw:
        return any(by_hand(each, number) for each in raw["any"])
    value = raw["value"]
    return {
        "=": number == value,
        "!=": number != value,
        "<": number < value,
        "<=": number <= value,
        ">": number > value,
        ">=": number >= value,
    }[raw["is"]]


@given(RULES, NUMBERS, NUMBERS)
def test_an_answer_of_a_span_is_right_for_every_number_in_it(raw, one, other):
    try:
        rule = read(raw)
    except InvalidTerm:  # too deep
        return
    low, high = sorted((one, other))
    told = answer(rule, {"size": Span(low, high)})
    possible = {by_hand(raw, number) for number in range(low, high + 1)}
    if told.verdict != "unknown":
        assert possible == {told.verdict == "yes"}
        assert bool(told.reasons) is (told.verdict == "no")
    exact = answer(rule, {"size": Span(low, low)}).verdict
    assert exact == ("yes" if by_hand(raw, low) else "no")


def someone(**more) -> Person:
    return Person(given_names="Ana", surnames="Paz", **more)


def known(*persons: Person, **more) -> dict:
    facts = {"ubigeo": "240101", "population_type": "in_transit", "size": len(persons)}
    return facts_of(Known(persons=persons, **(facts | more)), DAY)


HEAD = someone(roles=("head",), relationship="head", birth_date=date(1990, 7, 2))


def test_ages_are_as_exact_as_the_birth_date_is():
    born = {"birth_date": date(2021, 7, 1), "relationship": "child"}
    for precision, span in (
        ("day", Span(0, 0)),
        ("month", Span(0, 1)),
        ("year", Span(0, 1)),
        ("age", Span(0, 1)),
    ):
        facts = known(HEAD, someone(birth_precision=precision, **born))
        assert facts["children_under_5"] == span, precision
    assert known(HEAD)["age_of_head"] == Span(35, 35)
    assert known(HEAD, someone(relationship="child"))["children_under_5"] == Span(0, 1)
    away = someone(lives_in_household=False, birth_date=date(2026, 1, 1))
    assert known(HEAD, away)["children_under_18"] == Span(0, 0)
    december = someone(birth_date=date(2021, 12, 25), birth_precision="month")
    assert known(HEAD, december)["children_under_5"] == Span(1, 1)


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        ([], False),
        ([someone(relationship="child", birth_date=date(2020, 1, 1))], True),
        ([someone(relationship="child", birth_date=date(2000, 1, 1))], False),
        ([someone(relationship="child")], None),
        ([someone(relationship="partner", birth_date=date(1990, 1, 1))], False),
        ([someone(relationship="child", birth_date=date(2020, 1, 1)), someone()], None),
        ([someone(relationship="child", birth_date=date(2020, 1, 1)),
          someone(relationship="partner")], False),
    ],
)  # fmt: skip
def test_a_single_parent_lives_with_children_and_without_a_partner(others, wanted):
    assert known(HEAD, *others)["single_parent"] is wanted


def test_what_is_not_stated_is_missing_and_the_survivors_code_is_never_there():
    facts = known(HEAD, intention="not_stated", registered_on=date(2026, 3, 2))
    assert facts["intention"] is None
    assert facts["specific_needs"] is None
    assert facts["months_since_registration"] == Span(3, 3)
    needs = frozenset({"gbv_survivor", "disability"})
    assert known(HEAD, specific_needs=needs)["specific_needs"] == {"disability"}
    nobody = Known(ubigeo="240101", population_type="pendular", size=2)
    assert set(facts_of(nobody, DAY)) == {
        "area",
        "population_type",
        "size",
        "intention",
        "specific_needs",
    }
