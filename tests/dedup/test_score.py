import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import compare, model
from dedup.compare import prepare
from dedup.record import Document, Record
from dedup.score import agreeing, score, strength
from tests.dedup.make import number, person

MODEL = model.load()


def level(field, one, other):
    found = {one.field: one.level for one in score(one, other, MODEL).fields}
    return found[field]


@pytest.mark.parametrize(
    ("one", "other", "given", "surnames", "order"),
    [
        ("Ana María / Pérez Gómez", "ANA MARIA / Perez Gomez", "exact", "exact", "straight"),
        ("Ana María / Pérez Gómez", "María Ana / Gómez Pérez", "exact", "exact", "straight"),
        ("Ana María / Pérez Gómez", "Anamaría / Pérez Gómez", "exact", "exact", "straight"),
        ("Ana María / Cruz", "Ana María / de la Cruz", "exact", "part", "straight"),
        ("Jessica Ana / Pérez Gómez", "Yesica Ana / Peres Gomes", "similar", "similar", "straight"),
        ("José Luis / Pérez Gómez", "Pepe Luis / Pérez Gómez", "similar", "exact", "straight"),
        ("Ana María / Pérez Gómez", "Ana / Pérez", "part", "part", "straight"),
        ("Ana M. / Pérez Gómez", "Ana María / Pérez Gómez", "near", "exact", "straight"),
        ("Ana María / Pérez Gómez", "Pérez Gómez / Ana María", "exact", "exact", "swapped"),
        ("Luis / Pérez Gómez", "Luisa / Pérez Gómez", "near", "exact", "straight"),
        ("Ana María / Pérez Gómez", "Ana Rosa / Pérez Gómez", "some", "exact", "missing"),
        ("Pedro / Pérez Gómez", "Luis / Pérez Gómez", "different", "exact", "missing"),
        ("Pedro / Pérez Rojas", "Luis / Pérez Gómez", "different", "some", "missing"),
        ("/ Pérez Gómez", "Luis / Pérez Gómez", "missing", "exact", "missing"),
    ],
)
def test_names_have_levels(one, other, given, surnames, order):
    found = compare.levels(prepare(person(one)), prepare(person(other)))
    assert found[:3] == (given, surnames, order)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("1990-05-17", "day"), ("1990-05-17", "day"), "exact"),
        (("1990-05-04", "day"), ("1990-04-05", "day"), "swapped"),
        (("1990-05-17", "day"), ("1990-05-18", "day"), "digit"),
        (("1990-05-17", "day"), ("1990-05-28", "day"), "part"),
        (("1990-05-17", "day"), ("1983-05-17", "day"), "part"),
        (("1990-05-17", "day"), ("1990-01-01", "day"), "year"),
        (("1990-01-01", "day"), ("1990-01-01", "day"), "year"),
        (("1990-05-17", "day"), ("1990-01-01", "year"), "year"),
        (("1990-05-17", "day"), ("1990-05-01", "month"), "month"),
        (("1990-05-17", "day"), ("1990-06-01", "month"), "part"),
        (("1990-05-17", "day"), ("1992-01-01", "age"), "about"),
        (("1990-05-17", "day"), ("1992-01-01", "year"), "different"),
        (("1990-05-17", "day"), ("1979-11-30", "day"), "different"),
        (("1990-05-17", "day"), (None, "day"), "missing"),
    ],
)
def test_dates_of_birth_have_levels(one, other, expected):
    a, b = (person(born=born, birth_precision=precision) for born, precision in (one, other))
    assert level("birth_date", a, b) == level("birth_date", b, a) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([("ve-cedula", "V12345678")], [("ve-cedula", "12.345.678")], "exact"),
        ([("ve-cedula", "12345678")], [("passport", "012345678")], "exact_other"),
        ([("ve-cedula", "12345678")], [("ve-cedula", "12345687")], "near"),
        ([("ve-cedula", "12345678")], [("passport", "123456789")], "near_other"),
        ([("ve-cedula", "12345678")], [("pe-ptp", "000777111")], "other_type"),
        ([("passport", "123456789")], [("passport", "555111222")], "other_type"),
        ([("ve-cedula", "12345678")], [("ve-cedula", "20111222")], "different"),
        (
            [("ve-cedula", "12345678"), ("pe-ce", "000111222")],
            [("ve-cedula", "20111222"), ("pe-ce", "000111222")],
            "exact",
        ),
        ([("birth-cert", "12345678")], [("birth-cert", "12345678")], "missing"),
    ],
)
def test_documents_have_levels(one, other, expected):
    a, b = person(documents=one), person(documents=other)
    assert level("document", a, b) == level("document", b, a) == expected


def test_different_documents_of_one_person_over_the_years_do_not_part_them():
    a = person(documents=[("ve-cedula", "12345678")])
    b = person(documents=[("pe-ptp", "000777111")])
    assert strength(score(a, b, MODEL)) == "strong"


FAMILY = {"phones": ("987654321",), "ubigeo": "240101"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("José Luis / Rojas Peña", "2012-03-04"), ("Miguel Ángel / Rojas Peña", "2014-08-09")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("Ángel David / Rojas Peña", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Miguel / Rojas Peña", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Luis / Rojas Díaz", "1985-11-20")),
        (("Luis / Rojas Peña", "2012-03-04"), ("Luisa / Rojas Peña", "2012-03-04")),
    ],
    ids=["siblings", "twins", "twins sharing a name", "father and son", "Luis and Luisa"],
)
def test_kin_are_not_shown_as_duplicates(one, other):
    sex = "F" if "Luisa" in other[0] else "M"
    a, b = person(*one, **FAMILY, sex="M"), person(*other, **FAMILY, sex=sex)
    assert strength(score(a, b, MODEL)) == "weak"


def test_a_score_tells_its_reasons_and_its_model():
    found = score(person(), person(born="1979-11-30"), MODEL)
    assert tuple(one.field for one in found.fields) == compare.FIELDS
    assert found.model_id == MODEL.model_id
    assert {one.field: one.bits for one in found.fields}["birth_date"] < -4
    assert 0 <= found.probability <= 1


def test_agreeing_fields_betray_neither_document_type_nor_place():
    a = person(documents=[("pe-asylum", "77112233")], **FAMILY)
    assert agreeing(score(a, a, MODEL)) == ("name", "birth_date", "document", "phone", "sex")


def test_a_missing_field_weighs_nothing():
    nobody = Record(person_id=number(1), household_id=number(2))
    found = score(nobody, nobody, MODEL)
    assert found.weight_bits == 0
    assert agreeing(found) == ()


def test_a_model_whose_rates_do_not_add_up_is_refused():
    content = (model.Path(model.__file__).with_name("model_v1.json")).read_bytes()
    assert model.parse(content).model_id == MODEL.model_id
    with pytest.raises(ValueError, match="add up"):
        model.parse(content.replace(b"0.985", b"0.885"))


def test_another_content_is_another_model():
    content = (model.Path(model.__file__).with_name("model_v1.json")).read_bytes()
    assert model.parse(content.replace(b"19.0", b"19.5")).model_id != MODEL.model_id


WORDS = st.sampled_from(
    ("Ana", "María", "José", "Luis", "Luisa", "Yenifer", "Jennifer", "Pérez", "Peres", "J.", "Ñ")
)
DOCUMENTS = st.builds(
    Document,
    type=st.sampled_from(["ve-cedula", "pe-ce", "passport", "pe-tam"]),
    number=st.sampled_from(["12345678", "12345687", "1234567", "99", "V-20111222"]),
)
RECORDS = st.builds(
    Record,
    person_id=st.uuids(),
    household_id=st.uuids(),
    given=st.lists(WORDS | st.text(max_size=4), max_size=4).map(tuple),
    surnames=st.lists(WORDS, max_size=3).map(tuple),
    birth_date=st.none() | st.dates(),
    birth_precision=st.sampled_from(["day", "month", "year", "age"]),
    sex=st.sampled_from(["F", "M", "O", ""]),
    documents=st.lists(DOCUMENTS, max_size=3).map(tuple),
    phones=st.lists(st.sampled_from(["987654321", "987654312", "1"]), max_size=2).map(tuple),
    ubigeo=st.sampled_from(["", "240101", "240102", "240201", "230101"]),
)


@settings(max_examples=300)
@given(RECORDS, RECORDS)
def test_a_score_does_not_depend_on_who_comes_first(a, b):
    assert score(a, b, MODEL) == score(b, a, MODEL)
