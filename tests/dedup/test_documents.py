import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup import documents
from dedup.record import Document


@pytest.mark.parametrize(
    ("kind", "written", "kept"),
    [
        ("ve-cedula", "V-12.345.678", ("ve-cedula", "12345678")),
        ("ve-cedula", "v 012345678", ("ve-cedula", "12345678")),
        ("ve-cedula", "E-84.123.456", ("ve-cedula", "84123456")),
        ("ve-cedula", "CI V12345678", ("ve-cedula", "12345678")),
        ("pe-dni", "10117410-2", ("pe-dni", "10117410")),
        ("pe-dni", "10117410K", ("pe-dni", "10117410")),
        ("pe-dni", "1234567", ("pe-dni", "01234567")),
        ("pe-ruc", "10101174102", ("pe-dni", "10117410")),
        ("pe-ruc", "20512333797", ("pe-ruc", "20512333797")),
        ("pe-ce", "001234567", ("pe-ce", "001234567")),
        ("pe-ce", "1234567", ("pe-ce", "001234567")),
        ("pe-ce", "OO1234567", ("pe-ce", "001234567")),
        ("pe-ptp", " 001 234 567 ", ("pe-ptp", "001234567")),
        ("passport", "ab-123456", ("passport", "AB123456")),
        ("PASSPORT ", "１２３４５６", ("passport", "123456")),
        ("library-card", "A-1234", ("other", "A1234")),
        ("pe-tam", "12345678", None),
        ("birth-cert", "12345678", None),
        ("ve-cedula", "no tiene", None),
        ("ve-cedula", "", None),
        ("pe-dni", "00000000", None),
        ("passport", "123", None),
    ],
)
def test_a_document_has_one_form(kind, written, kept):
    found = documents.normalise(Document(type=kind, number=written))
    assert (found and (found.type, found.number)) == kept


@pytest.mark.parametrize(
    ("kind", "written", "right"),
    [
        ("pe-dni", "10117410-2", True),
        ("pe-dni", "10117410-3", False),
        ("pe-dni", "10117410", None),
        ("pe-ruc", "20512333797", True),
        ("pe-ruc", "20512333798", False),
        ("ve-cedula", "V12345678", None),
    ],
)
def test_a_check_digit_is_advice(kind, written, right):
    assert documents.check(Document(type=kind, number=written)) is right


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("+51 987 654 321", "987654321"),
        ("987654321", "987654321"),
        ("0051987654321", "987654321"),
        ("+58 412-1234567", "121234567"),
        ("0412 1234567", "121234567"),
        ("000000000", None),
        ("12345", None),
        ("no tiene", None),
    ],
)
def test_a_phone_has_one_form(written, kept):
    assert documents.phone(written) == kept


@given(st.sampled_from([*sorted(documents.KNOWN), "pe-tam", "x"]), st.text())
def test_any_number_normalises_or_is_refused_and_its_form_is_final(kind, written):
    found = documents.normalise(Document(type=kind, number=written))
    documents.check(Document(type=kind, number=written))
    if found is not None:
        assert found.number.isascii()
        assert found.number.isalnum()
        if found.type != "pe-ruc":
            again = documents.normalise(Document(type=found.type, number=found.number))
            assert again is None or again.type == found.type


@given(st.text())
def test_any_phone_normalises_or_is_refused(written):
    found = documents.phone(written)
    assert found is None or (found.isdigit() and documents.phone(found) == found)
