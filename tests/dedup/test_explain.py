import re
from math import isclose, log2

import msgspec
import pytest
from hypothesis import given, settings

from dedup import model
from dedup.compare import FIELDS, LEVELS, MISSING
from dedup.explain import _WORDS, explain, sentence, sentence_shown, shown
from dedup.model import Calibration
from dedup.score import score
from tests.dedup.make import RECORDS, person

MODEL = model.load()


def of(found):
    return shown(found.strength, found.fields)


FAMILY = {"phones": ("987654321",), "ubigeo": "240101"}


def test_every_level_of_every_field_has_words_in_both_languages():
    assert set(_WORDS.fields) == set(FIELDS)
    for field, levels in LEVELS.items():
        words = _WORDS.levels[_WORDS.fields[field]["words"]]
        assert set(words) == set(levels) - {MISSING}
        for text in (_WORDS.fields[field], *words.values()):
            assert text["es"]
            assert text["en"]
            assert text["es"] != text["en"]


def test_no_two_levels_of_a_field_read_the_same():
    for words in _WORDS.levels.values():
        for language in ("es", "en"):
            said = [text[language] for text in words.values()]
            assert len(set(said)) == len(said)


def test_an_explanation_adds_up_to_the_score():
    a, b = person(**FAMILY), person("Ana / Peres Gómez", "1990-05-18", **FAMILY)
    found = score(a, b, MODEL)
    told = explain(found, MODEL)
    assert [one.field for one in told.reasons] == list(FIELDS)
    share = MODEL.kin_share
    weight = -log2(share * 2**-told.kin_bits + (1 - share) * 2**-told.bits)
    assert isclose(weight, found.weight_bits, abs_tol=1e-9)
    assert isclose(MODEL.probability(weight), told.probability, abs_tol=1e-9)
    assert told.prior_bits == MODEL.prior_bits


def test_kin_are_the_rival_in_a_family_and_strangers_where_only_a_document_agrees():
    a = person("Ana María / Pérez Gómez", **FAMILY)
    sister = person("Rosa Elena / Pérez Gómez", "1992-08-03", **FAMILY)
    assert explain(score(a, sister, MODEL), MODEL).rival == "kin"
    one = person("Ana / Pérez", documents=[("ve-cedula", "12345678")])
    other = person("Eva / Rojas", "1971-02-20", documents=[("pe-ptp", "012345678")])
    assert explain(score(one, other, MODEL), MODEL).rival == "strangers"


def test_a_sentence_says_what_speaks_for_and_against_and_what_is_missing():
    a = person("Ana María / Pérez Gómez", documents=[("ve-cedula", "12345678")])
    b = person("Ana Rosa / Pérez Gómez", documents=[("ve-cedula", "12345678")], **FAMILY)
    told = explain(score(a, b, MODEL), MODEL)
    english, spanish = sentence(told, "en"), sentence(told, "es")
    parts = re.split(r"For it: |Against it: |Says little|Not stated", english)
    assert "the document agrees in type and number" in parts[1]
    assert "the second given name differs" in parts[2]
    assert "the phone" in parts[-1]
    assert "el documento coincide en tipo y número" in spanish
    assert "el segundo nombre es distinto" in spanish
    assert "el teléfono" in spanish.split("Sin dato")[1]


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (1.0, "Of 1000 pairs like this one, more than 999 are one person."),
        (0.9991, "Of 1000 pairs like this one, more than 999 are one person."),
        (0.9979, "Of 1000 pairs like this one, about 997 are one person."),
        (0.989, "Of 100 pairs like this one, about 98 are one person."),
        (0.5, "Of 100 pairs like this one, about 50 are one person."),
        (0.0042, "Of 1000 pairs like this one, about 4 are one person."),
        (0.0, "Of 1000 pairs like this one, fewer than 1 are one person."),
    ],
)
def test_a_probability_is_said_as_a_count_and_never_as_certainty(probability, said):
    told = msgspec.structs.replace(
        explain(score(person(), person(), MODEL), MODEL), probability=probability
    )
    assert sentence(told, "en").startswith(said)


def test_an_uncalibrated_probability_is_called_an_estimate():
    found = explain(score(person(), person(), MODEL), MODEL)
    checked = msgspec.structs.replace(found, calibrated=True)
    unchecked = msgspec.structs.replace(found, calibrated=False)
    assert "estimate" not in sentence(checked, "en")
    assert "estimate" in sentence(unchecked, "en")
    assert "estimación" in sentence(unchecked, "es")
    calibration = Calibration(slope=0.8, intercept=-0.1)
    trained = model.build(msgspec.structs.replace(MODEL.content, calibration=calibration))
    plain = model.build(msgspec.structs.replace(MODEL.content, calibration=Calibration()))
    assert explain(score(person(), person(), trained), trained).calibrated
    assert not explain(score(person(), person(), plain), plain).calibrated


def test_a_rare_name_is_called_rare_and_a_common_one_common():
    found = explain(score(person(), person(), MODEL), MODEL)

    def said(bits, language):
        reasons = tuple(
            msgspec.structs.replace(one, rarity_bits=bits if one.field == "surname1" else 0.0)
            for one in found.reasons
        )
        return sentence(msgspec.structs.replace(found, reasons=reasons), language)

    assert "the first surname is the same and is rare" in said(5.0, "en")
    assert "el primer apellido coincide y es poco común" in said(5.0, "es")
    assert "the first surname is the same but is very common" in said(-5.0, "en")
    assert "rare" not in said(0.5, "en")


def test_rarity_bits_are_those_that_the_model_adds_for_a_word():
    frequencies = {"surname": model.Frequencies(chance=0.01, rare=0.0001, words={"perez": 0.04})}
    counted = model.build(msgspec.structs.replace(MODEL.content, frequencies=frequencies))
    told = explain(score(person(), person(), counted), counted)
    rarity = {one.field: one.rarity_bits for one in told.reasons}
    assert isclose(rarity["surname1"], log2(0.01 / 0.04), abs_tol=1e-9)
    assert isclose(rarity["surname2"], log2(0.01 / 0.0001), abs_tol=1e-9)
    assert rarity["given1"] == 0


def test_a_score_of_another_model_is_not_explained():
    found = msgspec.structs.replace(score(person(), person(), MODEL), model_id="v2-other")
    with pytest.raises(ValueError, match="v2-other"):
        explain(found, MODEL)


def test_another_partner_learns_neither_place_nor_kind_of_document_nor_bits():
    a = person(documents=[("pe-asylum", "77112233")], **FAMILY)
    b = person("Ana Rosa / Pérez Gómez", documents=[("pe-asylum", "77112233")], **FAMILY)
    told = of(score(a, b, MODEL))
    assert set(told.agrees) | set(told.differs) <= set(_WORDS.shown)
    assert set(told.agrees).isdisjoint(told.differs)
    assert told.agrees == ("name", "birth_date", "document", "phone", "sex")
    assert sentence_shown(told, "en") == (
        "Strong match. Agrees: name; date of birth; document; phone; sex."
    )
    assert not re.search(r"[0-9]", sentence_shown(told, "es"))


def test_no_name_number_date_or_place_is_told():
    a = person("Zenobia Yuruaní / Uzcátegui Ñáñez", "1987-06-05", ubigeo="240101",
               phones=("912345678",), documents=[("ve-cedula", "17654321")])  # fmt: skip
    told = explain(score(a, a, MODEL), MODEL)
    everything = " ".join(
        (*(sentence(told, language) for language in ("es", "en")), repr(told),
         repr(of(score(a, a, MODEL))))
    ).lower()  # fmt: skip
    for canary in ("zenobia", "yuruan", "uzc", "1987", "17654321", "12345678", "240101", "cedula"):
        assert canary not in everything


@settings(max_examples=100)
@given(RECORDS, RECORDS)
def test_an_explanation_does_not_depend_on_who_comes_first(a, b):
    one, other = score(a, b, MODEL), score(b, a, MODEL)
    told = explain(one, MODEL)
    assert told == explain(other, MODEL)
    assert of(one) == of(other)
    for language in ("es", "en"):
        assert "{" not in sentence(told, language)
        assert sentence_shown(of(one), language)
