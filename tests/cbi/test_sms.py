"""A text is counted as a text message; tables of cases, and any text is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.sms import count


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "gsm-7", 0, 0),
        ("a", "gsm-7", 1, 1),
        ("a" * 160, "gsm-7", 160, 1),
        ("a" * 161, "gsm-7", 161, 2),
        ("a" * 306, "gsm-7", 306, 2),
        ("a" * 307, "gsm-7", 307, 3),
        # An extended character counts twice and is not parted: 152 and €, not 153 and half of it.
        ("a" * 158 + "€", "gsm-7", 160, 1),
        ("a" * 152 + "€" + "a" * 152, "gsm-7", 306, 3),
        # "ñ", "é" and "¿" are in GSM-7; "á", "í", "ó", "ú" are not.
        ("¿Qué año, señor?", "gsm-7", 16, 1),
        ("á" * 70, "ucs-2", 70, 1),
        ("á" * 71, "ucs-2", 71, 2),
        ("á" * 134, "ucs-2", 134, 2),
        ("á" * 135, "ucs-2", 135, 3),
        # Outside the basic plane: two units, not parted.
        ("\U0001f642" * 35, "ucs-2", 70, 1),
        ("\U0001f642" * 67, "ucs-2", 134, 3),
    ],
)
def test_a_text_is_counted_as_the_tables_say(text, encoding, units, segments):
    counted = count(text)
    assert (counted.encoding, counted.units, counted.segments) == (encoding, units, segments)


def test_what_makes_a_text_longer_is_told():
    assert count("Está aquí").not_in_gsm == ("á", "í")
    assert count("Esta aqui").not_in_gsm == ()


@given(st.text())
def test_any_text_is_counted_and_fits_its_segments(text):
    counted = count(text)
    alone, joined = (160, 153) if counted.encoding == "gsm-7" else (70, 67)
    assert counted.units >= len(text)
    assert (counted.segments == 0) == (text == "")
    if counted.segments == 1:
        assert counted.units <= alone
    elif counted.segments:
        assert alone < counted.units <= joined * counted.segments
        # No part is left emptier than one character needs.
        assert counted.units > (joined - 1) * (counted.segments - 1)


@given(st.text(), st.text(max_size=3))
def test_a_longer_text_never_takes_fewer_messages(text, more):
    assert count(text + more).segments >= count(text).segments
