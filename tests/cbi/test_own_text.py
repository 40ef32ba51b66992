"""What an organisation's own words may say; the program's words hold to it themselves."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.message import render, templates, words_of_program
from cbi.own_text import (
    EXAMPLES,
    NewText,
    PersonKind,
    allowed,
    discreet_faults,
    example_of,
    faults_of,
    tidied,
)
from cbi.sms import SEGMENTS_MAX, count
from cbi.webhook import Kind

ON = date(2026, 6, 1)


def new(words, kind="person.turn", **more):
    return NewText(kind=kind, language="es", words=words, effective_from=ON, **more)


def codes(words, names=(), **more):
    return [each.fault for each in faults_of(new(words, **more), names=names)]


def test_the_kinds_are_those_for_people():
    assert set(PersonKind.__args__) == {one for one in Kind.__args__ if one.startswith("person.")}
    assert set(PersonKind.__args__) == set(templates())


@pytest.mark.parametrize("kind", PersonKind.__args__)
@pytest.mark.parametrize("language", ["es", "en"])
def test_the_programs_words_say_nothing_to_who_reads_along_and_are_short(kind, language):
    words = words_of_program(kind, language)
    assert faults_of(new(words, kind)) == []
    shown = render(words, {name: EXAMPLES[name] for name in allowed(kind) - {"contact"}})
    assert count(shown).segments <= SEGMENTS_MAX


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Hay un aviso para usted. Pase cuando pueda.", []),
        ("Pase de 9 a 17 h, puerta 12.", []),
        ("Ya está su pago.", ["revealing"]),
        ("Ya esta su PAGÓ.", ["revealing"]),
        ("Your cash is ready.", ["revealing"]),
        ("Su transferencia llegó.", ["revealing"]),
        ("Recibirá 760 mañana.", ["amount"]),
        ("Son S/ 76.", ["amount"]),
        ("Lleve $5.", ["amount"]),
        ("Venga a Casa Alfa.", ["name"]),
        ("Es de INVIERNO.", ["name"]),
        ("Vea http://x", ["link"]),
        ("Vea ejemplo.pe", ["link"]),
        ("Escriba a x@y", ["link"]),
        ("Llame al 987 654 321", ["number", "amount"]),
        ("Llame al 98 76 54 32", ["number"]),
        ("Llame al {contact}.", ["contact"]),
        ("Su número es {reference}.", ["placeholder"]),
        ("Hola {name}", ["placeholder"]),
        ("Hola {contact!r}", ["placeholder"]),
        ("Hola {", ["placeholder"]),
        ("Hola\nusted", ["characters"]),
        ("Hola \u202eusted", ["characters"]),
        ("Hola \u0441ash", ["characters"]),
        ("Hola \u200busted", ["characters"]),
        ("á" * 202, ["too_long"]),
    ],
)
def test_every_fault_of_a_text_is_told(words, expected):
    assert codes(words, names=("ALFA", "Casa Alfa", "Invierno")) == expected


def test_a_telephone_is_said_where_the_text_says_so():
    told = new("Llame al {contact}.", contact="+51 1 555 0100")
    assert faults_of(told) == []
    assert example_of(told) == "Llame al +51 1 555 0100."
    assert codes("Llame.", contact="01 555 0100") == ["contact"]


def test_an_open_text_may_name_the_help_but_not_of_an_appeal():
    assert codes("Su pago de 760 soles está listo.", open_to="2026-2") == []
    assert codes("Vea http://x", open_to="2026-2") == ["link"]
    assert codes("Hay respuesta.", kind="person.appeal_decided", open_to="2026-2") == ["open_to"]


def test_an_appeals_words_may_name_its_reference_and_day():
    words = "Su número es {reference}, hasta el {due_on}."
    assert codes(words, kind="person.appeal_taken") == []
    assert codes(words, kind="person.appeal_decided") == ["placeholder"]


def test_letters_are_kept_whole():
    assert tidied(" esta\u0301 ") == "está"


@given(st.text(max_size=480), st.sampled_from(PersonKind.__args__), st.booleans())
def test_any_words_are_told_their_faults_or_can_be_said(words, kind, is_open):
    asked = new(tidied(words), kind, open_to="v" if is_open else None)
    faults = {each.fault for each in faults_of(asked, names=("ALFA", ""))}
    shown = example_of(asked)
    if not faults:
        assert shown is not None
        assert shown.isprintable()
        assert count(shown).segments <= SEGMENTS_MAX
        assert (
            is_open
            or discreet_faults(shown.replace(EXAMPLES["reference"], "")) == []
            or ("{" in words)
        )
