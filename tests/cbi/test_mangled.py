"""Text files as Excel of a Spanish Windows writes them, and lines of JSON."""

import json

import pytest

from cbi.intake import source
from tests.cbi.test_intake import FIRST, OTHER, SECOND, TITLES, read, rows

AGED = TITLES.replace("Fecha de Nacimiento", "Edad")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\r\n', "sep=;;;;;\r\n", "\r\n"])
def test_the_line_in_which_excel_names_the_delimiter_is_passed_over(encoding, line):
    ((registration, faults),) = read((line + TITLES + FIRST + SECOND).encode(encoding))
    assert faults == []
    assert registration.persons[0].surnames == "Pérez Núñez"


def test_a_named_delimiter_is_tried_first():
    text = (TITLES + FIRST).replace(";", "\t").replace("Pérez Núñez", "Pérez, Núñez; y otros")
    ((registration, _),) = read("sep=\t\r\n" + text)
    assert registration.persons[0].surnames == "Pérez, Núñez; y otros"


def test_windows_quotes_and_dashes_are_letters_of_windows_1252():
    line = FIRST.replace("Yaquelin", "“Yaquelín” – O’Brien €").encode("cp1252")
    ((registration, _),) = read(TITLES.encode("cp1252") + line)
    assert registration.persons[0].given_names == "“Yaquelín” – O’Brien €"


@pytest.mark.parametrize("age", ["35", "35,0", "35.00"])
def test_a_decimal_comma_behind_a_whole_number_is_no_part_of_it(age):
    line = FIRST.replace("31/12/1990", age).replace("V12345678", "12345678,00")
    ((registration, faults),) = read((AGED + line).encode("cp1252"))
    assert faults == []
    assert registration.persons[0].birth_precision == "age"
    assert registration.persons[0].documents[0].number == "12345678"


@pytest.mark.parametrize("age", ["35,5", "treinta", "-1"])
def test_an_age_that_is_no_whole_number_is_named(age):
    ((refused, faults),) = read(AGED + FIRST.replace("31/12/1990", age))
    assert (refused, faults) == (None, ["2/Edad date_form"])


def test_thousands_are_no_decimals():
    line = FIRST.replace("V12345678", "12.345.000")
    ((registration, _),) = read(TITLES + line)
    assert registration.persons[0].documents[0].number == "12.345.000"


@pytest.mark.parametrize("error", ["#¡VALOR!", "#N/D", "#¿NOMBRE?", "#REF!"])
def test_an_error_of_excel_in_a_cell_is_named(error):
    ((refused, faults),) = read(TITLES + FIRST.replace("V12345678", error))
    assert (refused, faults) == (None, ["2/N° documento excel_error"])


def test_lines_of_one_household_far_apart_are_found_and_handed_out_with_the_last():
    found = rows(TITLES + FIRST + OTHER + SECOND)
    assert [(row.reference, row.number, len(row.raw["persons"])) for row in found] == [
        ("B2", 3, 1),
        ("A1", 2, 2),
    ]


def test_the_example_row_is_told_and_left_out():
    example = FIRST.replace("A1", "EJEMPLO")
    (first, faults), (_, others) = read(TITLES + example + FIRST + OTHER)
    assert first.reference == "A1"
    assert faults == ["2/codigo_hogar example_row"]
    assert others == []


def test_a_file_of_as_many_households_and_lines_as_allowed_is_read():
    lines = "".join(f"{number % 50_000};B\n" for number in range(250_000))
    count = 0
    for row in rows("codigo_hogar;nombres\n" + lines):
        assert len(row.raw["persons"]) == 5
        count += 1
    assert count == source.ROWS_MAX


def test_a_broken_line_of_ndjson_is_that_lines_fault():
    lines = '\ufeff{"reference": "A"}\r\n\r\n{oops\r\n[]\r\n{"reference": "B"}'
    found = rows(lines, "ndjson")
    assert [(row.number, row.reference) for row in found] == [(1, "A"), (3, ""), (4, ""), (5, "B")]
    assert [each.code for row in found for each in row.faults] == ["row_syntax", "object_wanted"]
    assert rows(b"{\xff}\n" + json.dumps({"reference": "A"}).encode(), "ndjson")[1].raw == {
        "reference": "A"
    }
