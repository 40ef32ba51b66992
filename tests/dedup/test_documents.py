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
        ("ve-cedula", "CI 12345678", ("ve-cedula", "12345678")),
        ("ve-cedula", "Cédula V-12.345.678", ("ve-cedula", "12345678")),
        ("pe-dni", "DNI N° 10117410-2", ("pe-dni", "10117410")),
        ("ve-cedula", "12345678.0", ("ve-cedula", "12345678")),
        ("ve-cedula", "1.2345678E7", None),
        ("ve-cedula", "1,23457e+07", None),
        ("pe-ce", "1E+08", None),
        ("passport", "12345E678", ("passport", "12345E678")),
        ("pe-dni", "00000000", None),
        ("pe-dni", "1234", None),
        ("pe-ce", "000001234", None),
        ("pe-ce", "000111111", None),
        ("passport", "123", None),
        ("passport", "A" * 21, None),
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
        ("pe-dni", "10117410G", True),
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
        ("987654321.0", "987654321"),
        ("９８７ ６５４ ３２１", "987654321"),
        ("9.87654E+08", None),
        ("000000000", None),
        ("12345", None),
        ("no tiene", None),
    ],
)
def test_a_phone_has_one_form(written, kept):
    assert documents.phone(written) == kept


KINDS = st.sampled_from([*sorted(documents.KNOWN), "pe-tam", "x"])
# What people write in a field for numbers, more often than chance would.
WRITTEN = st.text() | st.text(alphabet="0123456789VEOIL .-/,+", max_size=30)


@given(KINDS, WRITTEN)
def test_any_number_has_a_bounded_form_or_none(kind, written):
    found = documents.normalise(Document(type=kind, number=written))
    documents.check(Document(type=kind, number=written))
    if found is not None:
        assert found.number.isascii()
        assert found.number.isalnum()
        assert found.number == found.number.upper()
        assert len(found.number.lstrip("0")) >= documents.TELLING_MIN
        assert len(found.number) <= documents.NUMBER_MAX


@given(KINDS, WRITTEN)
def test_the_form_of_a_form_is_itself(kind, written):
    found = documents.normalise(Document(type=kind, number=written))
    if found is not None:
        again = documents.normalise(Document(type=found.type, number=found.number))
        assert again == found


@given(
    st.sampled_from(["pe-dni", "pe-ce", "pe-ptp", "pe-cpp", "ve-cedula", "passport", "other"]),
    st.integers(min_value=10_000, max_value=99_999_999),
    st.integers(min_value=0, max_value=3),
)
def test_lost_or_added_leading_zeros_compare_equal(kind, number, zeros):
    plain = documents.normalise(Document(type=kind, number=str(number)))
    padded = documents.normalise(Document(type=kind, number="0" * zeros + str(number)))
    if plain is None or padded is None:
        assert plain is padded is None
    elif kind != "pe-dni" or len(str(number)) + zeros <= 8:  # a ninth digit checks the others
        assert plain.number.lstrip("0") == padded.number.lstrip("0")


@given(WRITTEN)
def test_any_phone_has_one_form_or_none(written):
    found = documents.phone(written)
    if found is not None:
        assert found.isascii()
        assert found.isdigit()
        assert documents.PHONE_DIGITS_MIN <= len(found) <= documents.PHONE_DIGITS_COMPARED
        assert documents.phone(found) == found


@given(
    st.integers(min_value=900_000_000, max_value=999_999_999),
    st.sampled_from(["", "+51", "0051 ", "51-"]),
)
def test_a_peruvian_mobile_is_the_same_with_any_prefix(number, prefix):
    assert documents.phone(f"{prefix}{number}") == documents.phone(str(number))
