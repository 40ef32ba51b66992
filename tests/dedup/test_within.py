import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import model
from dedup.within import PERSONS_MAX, twice
from tests.dedup.make import RECORDS, person

MODEL = model.load()
FAMILY = {"phones": ("987654321",), "ubigeo": "240101"}
MOTHER = person("Carmen Elena / Peña Soto", "1986-07-21", **FAMILY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Luis / Rojas Peña", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("JOSE LUIS / Rojas", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José / Rojas Pena", "2012-03-04")),
        (("Jesús David / Rojas Peña", "2012-03-04"), ("Chucho David / Rojas Peña", "2012-03-04")),
        (("Yeison Luis / Rojas Peña", "2012-03-04"), ("Jeyson Luis / Roxas Peña", "2012-03-04")),
    ],
    ids=["copied", "without mother's name", "without second name", "nickname", "another spelling"],
)
def test_a_person_entered_twice_is_found(one, other):
    records = [MOTHER, person(*one, **FAMILY, sex="M"), person(*other, **FAMILY, sex="M")]
    [found] = twice(records, MODEL)
    assert (found.one, found.other) == (1, 2)
    assert 0.3 < found.probability < 1
    assert {"name", "birth_date", "phone"} <= set(found.agreeing)


def test_a_person_entered_twice_with_one_document_is_found_in_spite_of_a_wrong_date():
    paper = [("ve-cedula", "31234567")]
    records = [
        person("José Luis / Rojas Peña", "2006-03-04", documents=paper, sex="M"),
        person("José Luis / Rojas Peña", "2006-04-03", documents=paper, sex="M"),
    ]
    assert [(each.one, each.other) for each in twice(records, MODEL)] == [(0, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("José Luis / Rojas Peña", "2012-03-04"), ("Ángel David / Rojas Peña", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Miguel / Rojas Peña", "2012-03-04")),
        (("Yulimar / Rojas Peña", "2012-03-04"), ("Yulimer / Rojas Peña", "2012-03-04")),
        (("Luis / Rojas Peña", "2012-03-04"), ("Luisa / Rojas Peña", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Luis / Rojas Díaz", "1985-11-20")),
        (("José Luis / Rojas Peña", None), ("José Luis / Rojas Díaz", "1985-11-20")),
        (("José Luis / Rojas", None), ("José Luis / Rojas Díaz", None)),
        (("Ana / Rojas Peña", "2012-03-04"), ("Rosa / Rojas Peña", "2013-09-14")),
    ],
    ids=[
        *("twins", "twins sharing a name", "twins called alike", "boy and girl"),
        *("father and son", "father and undated son", "both undated", "sisters"),
    ],
)
def test_kin_are_not_found(one, other):
    records = [MOTHER, person(*one, **FAMILY), person(*other, **FAMILY)]
    assert twice(records, MODEL) == ()


def test_twins_who_were_registered_with_one_paper_are_not_found():
    paper = [("pe-tam", "987654"), ("birth-cert", "5555555")]
    records = [
        person("José Luis / Rojas Peña", "2012-03-04", documents=paper, sex="M"),
        person("José Miguel / Rojas Peña", "2012-03-04", documents=paper, sex="M"),
    ]
    assert twice(records, MODEL) == ()


def test_who_stands_alone_is_not_found():
    assert twice([], MODEL) == twice([MOTHER], MODEL) == ()


def test_a_person_entered_three_times_is_found_in_every_pair():
    found = twice([MOTHER, MOTHER, MOTHER], MODEL)
    assert [(each.one, each.other) for each in found] == [(0, 1), (0, 2), (1, 2)]


def test_a_crowd_is_refused():
    with pytest.raises(ValueError, match="at most 30"):
        twice([MOTHER] * (PERSONS_MAX + 1), MODEL)


@settings(max_examples=50)
@given(st.lists(RECORDS, max_size=5))
def test_the_order_of_a_registration_does_not_matter(records):
    found = twice(records, MODEL)
    turned = twice(records[::-1], MODEL)
    last = len(records) - 1
    assert {(last - each.other, last - each.one, each.probability) for each in turned} == {
        (each.one, each.other, each.probability) for each in found
    }
    assert all(0 <= each.one < each.other <= last for each in found)
