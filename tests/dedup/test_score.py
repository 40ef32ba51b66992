from math import log2

import msgspec
import pytest
from hypothesis import given, settings

from dedup import model
from dedup.compare import FIELDS, LEVELS, compare, prepare
from dedup.model import Calibration, Frequencies, Level
from dedup.record import Record
from dedup.score import agreeing, explained, score, weight_bits
from tests.dedup.make import RECORDS, number, person

MODEL = model.load()


def level(field, one, other):
    found = {one.field: one.level for one in score(one, other, MODEL).fields}
    return found[field]


ANA = "Ana María / Pérez Gómez"


@pytest.mark.parametrize(
    ("one", "other", "given", "surnames", "order"),
    [
        (ANA, "ANA MARIA / Perez Gomez", "EE", "EE", "straight"),
        (ANA, "María Ana / Pérez Gómez", "EE", "EE", "turned"),
        (ANA, "María Ana / Gómez Pérez", "EE", "EE", "turned"),
        (ANA, "Anamaría / Pérez Gómez", "sound missing", "EE", "straight"),
        ("Ana María / Cruz", "Ana María / de la Cruz", "EE", "exact missing", "straight"),
        ("Jessica / Pérez Gil", "Yesica / Peres Jil", "sound missing", "sound sound", "straight"),
        ("José Luis / Pérez Gómez", "Pepe Luis / Pérez Gómez", "nickname exact", "EE", "straight"),
        (ANA, "María / Gómez", "exact missing", "exact missing", "straight"),
        ("Ana M. / Pérez Gómez", ANA, "exact initial", "EE", "straight"),
        (ANA, "Pérez Gómez / Ana María", "EE", "EE", "swapped"),
        ("Alejandro / Pérez Gómez", "Alejandr / Pérez Gómez", "similar missing", "EE", "straight"),
        ("Luis / Pérez Gómez", "Luisa / Pérez Gómez", "near missing", "EE", "missing"),
        (ANA, "Ana Rosa / Pérez Gómez", "exact different", "EE", "straight"),
        ("Pedro / Pérez Gómez", "Luis / Pérez Gómez", "different missing", "EE", "missing"),
        ("Eva / Pérez Roa", "Luis / Pérez Gil", "different missing", "exact different", "missing"),
        ("/ Pérez Gómez", "Luis / Pérez Gómez", "missing missing", "EE", "missing"),
    ],
)  # fmt: skip
def test_names_have_levels(one, other, given, surnames, order):
    for a, b in ((one, other), (other, one)):
        found = compare(prepare(person(a)), prepare(person(b))).codes
        words = [LEVELS[field][code] for field, code in zip(FIELDS, found, strict=True)][:5]
        expected = f"{given} {surnames} {order}".replace("EE", "exact exact")
        assert words == expected.split()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("1990-05-17", "day"), ("1990-05-17", "day"), "exact"),
        (("1990-05-04", "day"), ("1990-04-05", "day"), "swapped"),
        (("1990-05-17", "day"), ("1990-05-18", "day"), "digit"),
        (("1990-05-17", "day"), ("1990-05-28", "day"), "part"),
        (("1990-05-17", "day"), ("1983-05-17", "day"), "part"),
        (("1990-05-17", "day"), ("1990-01-01", "day"), "year"),
        (("1990-01-01", "day"), ("1990-01-01", "day"), "newyear"),
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
    assert score(a, b, MODEL).strength == "strong"


FAMILY = {"phones": ("987654321",), "ubigeo": "240101"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("José Luis / Rojas Peña", "2012-03-04"), ("Miguel Ángel / Rojas Peña", "2014-08-09")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Miguel / Rojas Peña", "2014-08-09")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("Ángel David / Rojas Peña", "2012-03-04")),
        (("José Luis / Rojas Peña", "2012-03-04"), ("José Luis / Rojas Díaz", "1985-11-20")),
    ],
    ids=["siblings", "siblings sharing a name", "twins", "father and son"],
)
def test_kin_are_not_shown_as_duplicates(one, other):
    a, b = person(*one, **FAMILY, sex="M"), person(*other, **FAMILY, sex="M")
    assert score(a, b, MODEL).strength == "weak"


@pytest.mark.parametrize(
    ("one", "other", "sex"),
    [
        ("José Luis / Rojas Peña", "José Miguel / Rojas Peña", "M"),
        ("Luis / Rojas Peña", "Luisa / Rojas Peña", "F"),
    ],
)
def test_twins_whom_one_word_tells_apart_may_be_shown_and_are_never_strong(one, other, sex):
    born = "2012-03-04"
    a, b = person(one, born, **FAMILY, sex="M"), person(other, born, **FAMILY, sex=sex)
    assert score(a, b, MODEL).strength != "strong"


def test_numbers_one_after_the_other_do_not_make_one_person_of_twins():
    alike = {**FAMILY, "born": "2012-03-04"}
    a = person("José Luis / Rojas Peña", documents=[("ve-cedula", "31222333")], **alike)
    b = person("José Miguel / Rojas Peña", documents=[("ve-cedula", "31222334")], **alike)
    elder = person("José Luis / Rojas Peña", documents=[("ve-cedula", "31222334")], **alike)
    assert score(a, b, MODEL).strength != "strong"
    assert score(a, elder, MODEL).strength == "strong"


def test_a_score_tells_its_reasons_and_its_model():
    found = score(person(), person(born="1979-11-30"), MODEL)
    assert tuple(one.field for one in found.fields) == FIELDS
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
    fields = {name: dict(levels) for name, levels in MODEL.content.fields.items()}
    fields["sex"]["same"] = Level(0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="rates of sex add up"):
        model.build(msgspec.structs.replace(MODEL.content, fields=fields))


def test_a_model_that_lacks_a_level_is_refused():
    fields = {name: dict(levels) for name, levels in MODEL.content.fields.items()}
    del fields["place"]["region"]
    with pytest.raises(ValueError, match="place needs exactly"):
        model.build(msgspec.structs.replace(MODEL.content, fields=fields))


def test_another_content_is_another_model():
    other = msgspec.structs.replace(MODEL.content, review_bits=MODEL.review_bits + 0.5)
    assert model.build(other).model_id != MODEL.model_id


@settings(max_examples=300)
@given(RECORDS, RECORDS)
def test_a_score_does_not_depend_on_who_comes_first(a, b):
    assert score(a, b, MODEL) == score(b, a, MODEL)


def test_a_word_weighs_more_the_rarer_it_is():
    content = msgspec.structs.replace(
        MODEL.content,
        frequencies={
            "surname": Frequencies(
                chance=0.01, rare=0.0001, words={"gonzalez": 0.05, "zerpa": 0.001}
            )
        },
    )
    counting = model.build(content)

    def bits(surname):
        one = person(f"Ana / {surname}")
        return next(f.bits for f in score(one, one, counting).fields if f.field == "surname1")

    assert bits("González") < bits("Zerpa") < bits("Urbaneja")
    assert bits("Zerpa") - bits("González") == pytest.approx(log2(50))


def test_the_weight_alone_is_the_weight_of_the_whole_score():
    a, b = prepare(person(ubigeo="240101")), prepare(person("Ana / Peres", ubigeo="240101"))
    compared = compare(a, b)
    whole = explained(compared, "240101", MODEL)
    assert whole.weight_bits == weight_bits(compared, "240101", MODEL)
    kin = 2 ** -sum(one.kin_bits for one in whole.fields)
    strangers = 2 ** -sum(one.bits for one in whole.fields)
    share = MODEL.kin_share
    assert whole.weight_bits == pytest.approx(-log2(share * kin + (1 - share) * strangers))


def test_a_model_that_is_written_down_and_read_is_the_same():
    assert model.parse(model.encode(MODEL)).model_id == MODEL.model_id


def test_probability_and_weight_are_two_ways_to_say_one_thing():
    scaled = model.build(
        msgspec.structs.replace(MODEL.content, calibration=Calibration(slope=0.8, intercept=-0.5))
    )
    for weight in (-30.0, 0.0, 19.5, 60.0):
        assert scaled.bits_of(scaled.logit(weight)) == pytest.approx(weight)
    assert scaled.probability(60.0) < MODEL.probability(60.0)
    assert MODEL.probability(-5000.0) == pytest.approx(0)
