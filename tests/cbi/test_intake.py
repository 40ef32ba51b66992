"""Files as partners really have them: a bad row is named, a bad file refused, nothing crashes."""

import json
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi import intake
from cbi.intake import source
from cbi.intake.mapper import _day_first
from cbi.intake.words import HOUSEHOLD_COLUMNS, PERSON_COLUMNS, column, fold
from cbi.refusal import FileUnreadable

TODAY = date(2026, 6, 1)
TITLES = (
    "Código Hogar;FECHA DE REGISTRO;ubigeo;Tipo de población;Consentimiento;"
    "consentimiento_version;Consentimiento Duplicados;Nombres;Apellidos;Fecha de Nacimiento;Sexo;"
    "Parentesco;Tipo documento;N° documento;Celular\r\n"
)
FIRST = (
    "A1;03/02/2026;240101;En tránsito;Sí;v1;no;Yaquelin;Pérez Núñez;31/12/1990;M;Jefe/a;"
    "Cédula;V12345678;987654321\r\n"
)
SECOND = "A1;;;;;;;Usnavi;Pérez;2015;H;hijo/a;;;\r\n"
OTHER = "B2;3/2/2026;230101;en destino;si;v1;sí;José;Quispe;1-5-1980;h;jefe;DNI;10117410;\r\n"


def rows(content, kind="csv"):
    content = content.encode() if isinstance(content, str) else content
    return list(intake.rows(content, format=kind, ubigeo_system="inei"))


def read(content, kind="csv"):
    """Each row's registration (or None) and its faults, as "row/column code"."""
    found = []
    for row in rows(content, kind):
        answer = intake.read(row, today=TODAY)
        places = [(intake.locate(each, row), each.code) for each in answer.faults]
        found.append((answer.registration, [f"{at.row}/{at.column} {code}" for at, code in places]))
    return found


def test_a_spreadsheet_of_one_line_per_person_becomes_households():
    (first, faults), (other, _) = read(TITLES + FIRST + SECOND + OTHER)
    assert faults == []
    assert (first.reference, first.ubigeo, first.population_type) == ("A1", "240101", "in_transit")
    assert first.registered_on == date(2026, 2, 3)
    assert [each.kind for each in first.consents if each.granted] == ["registration"]
    yaquelin, usnavi = first.persons
    assert (yaquelin.sex, usnavi.sex) == ("F", "M")
    assert yaquelin.documents[0].number == "V12345678"
    assert (usnavi.birth_date, usnavi.birth_precision) == (date(2015, 1, 1), "year")
    assert other.persons[0].birth_date == date(1980, 5, 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_encodings_and_delimiters_are_told_apart(encoding, delimiter):
    content = (TITLES + FIRST + SECOND).replace(";", delimiter).encode(encoding)
    ((registration, faults),) = read(content)
    assert faults == []
    assert registration.persons[0].surnames == "Pérez Núñez"


def test_a_title_above_the_header_and_empty_lines_are_passed_over():
    ((registration, faults),) = read(
        "Lista de hogares;;\r\n;;\r\n" + TITLES + "\r\n;;;\r\n" + FIRST
    )
    assert registration is not None
    assert faults == []


def test_a_fault_names_row_and_column_in_both_languages():
    bad = FIRST.replace("31/12/1990", "31/31/1990")
    (row,) = rows(TITLES + bad)
    (fault,) = intake.read(row, today=TODAY).faults
    at = intake.locate(fault, row)
    assert fault.path == "persons[0].birth_date"
    assert at.es == "fila 2, columna Fecha de Nacimiento"
    assert at.en == "row 2, column Fecha de Nacimiento"


def test_a_missing_value_is_located_at_the_column_where_it_should_stand():
    nameless = SECOND.replace("Usnavi", "")
    ((registration, faults),) = read(TITLES + FIRST + nameless)
    assert registration is None
    assert faults == ["3/nombres field_missing"]


BAD_ROWS = [
    (FIRST.replace("V12345678", "1.2E+08"), ["2/N° documento excel_number"]),
    (FIRST.replace("V12345678", "1,2e+08"), ["2/N° documento excel_number"]),
    (FIRST.replace("31/12/1990", "33238"), ["2/Fecha de Nacimiento excel_date"]),
    (FIRST.replace("240101", "40101"), ["2/ubigeo ubigeo_short"]),
    (FIRST.replace("Cédula;V12345678", "DNI;1234567"), ["2/N° documento document_short"]),
    (FIRST.replace("Cédula", "brevete"), ["2/Tipo documento code_unknown"]),
    (FIRST.replace("Cédula", ""), ["2/tipo_documento field_missing"]),
    (FIRST.replace(";Sí;", ";quizás;"), ["2/Consentimiento bool_wanted"]),
    (FIRST.replace("A1", ""), ["2/codigo_hogar row_reference"]),
    (FIRST.replace("\r\n", ";more\r\n"), ["2/ row_cells"]),
    (FIRST + SECOND.replace("A1;;;", "A1;;150101;"), ["3/ubigeo row_conflict"]),
    (FIRST.replace(";M;", ";ninguno;"), ["2/Sexo code_unknown"]),
    (FIRST + SECOND + SECOND.replace(";H;", ";F;"), ["2/Sexo sex_ambiguous"]),
]


@pytest.mark.parametrize(("lines", "expected"), BAD_ROWS)
def test_a_bad_row_is_named_and_the_rest_is_read(lines, expected):
    (refused, faults), (good, _) = read(TITLES + lines + OTHER)
    assert refused is None
    assert faults == expected
    assert good.reference == "B2"


def test_a_formula_stays_text_and_a_quoted_number_is_unwrapped():
    formula = '=HYPERLINK(""x"")'
    line = FIRST.replace("Yaquelin", f'"{formula}"').replace("V12345678", '"=""012345678"""')
    ((registration, _),) = read(TITLES + line)
    assert registration.persons[0].given_names == formula.replace('""', '"')
    assert registration.persons[0].documents[0].number == "012345678"


def test_an_unknown_column_is_a_warning_and_documents_have_columns_of_their_own():
    titles = TITLES.replace("Tipo documento;N° documento", "Color;DNI")
    line = FIRST.replace("Cédula;V12345678", "azul;10117410-2").replace("31/12/1990", "")
    titles, line = titles.replace("\r\n", ";Edad\r\n"), line.replace("\r\n", ";35\r\n")
    ((registration, faults),) = read(titles + line)
    assert faults == ["1/Color column_unknown"]
    person = registration.persons[0]
    assert [(each.type, each.number) for each in person.documents] == [("pe-dni", "10117410-2")]
    assert (person.birth_date, person.birth_precision) == (date(1990, 8, 5), "age")


DATES = [
    ("31/12/1990", "1990-12-31", "day"),
    ("1-2-1990", "1990-02-01", "day"),
    ("1990-12-31 00:00:00", "1990-12-31", "day"),
    ("1990-12-31T10:11:12Z", "1990-12-31", "day"),
    ("05/1990", "1990-05-01", "month"),
    ("1990", "1990-01-01", "year"),
    ("12/31/1990", "12/31/1990", "day"),
    ("31/12/90", "31/12/90", "day"),
    ("0000", "0000", "day"),
]


@pytest.mark.parametrize(("text", "iso", "precision"), DATES)
def test_dates_are_day_first(text, iso, precision):
    assert _day_first(text) == (iso, precision)


def test_titles_have_one_meaning_each():
    for name, titles in (HOUSEHOLD_COLUMNS | PERSON_COLUMNS).items():
        for title in titles.split():
            assert column(title) == name
            assert fold(title) == title
    assert column("Teléfono 1") == "telefono"
    assert column("Número de documento_3") == "numero_documento_3"
    assert column("apellidos 2") == ""


UNREADABLE = [
    ("csv", b"", 0, "empty"),
    ("csv", b" \r\n", 0, "empty"),
    ("csv", b"PK\x03\x04 a workbook", 0, "workbook"),
    ("csv", b"codigo_hogar;nombres\r\nA;\x00", 0, "not_text"),
    ("csv", b"nombre;apellido\r\nA;B", 1, "header_missing"),
    ("csv", b"codigo_hogar;nombres;nombre\r\nA;B;C", 1, "column_repeated"),
    ("csv", b"codigo_hogar;nombres\r\nA;" + b"x" * 200_000, 2, "csv_syntax"),
    ("csv", b"codigo_hogar;nombres" + b";x" * 900_000 + b"\r\nA;B", 1, "too_many_columns"),
    ("csv", b"codigo_hogar,nombres" + b",x" * 900_000 + b"\r\nA,B", 1, "too_many_columns"),
    ("csv", b";".join(b"c%d" % number for number in range(900_000)), 1, "too_many_columns"),
    ("csv", b"Registro\r\ncodigo_hogar,nombres" + b"," * 299 + b"\r\nA,B", 2, "too_many_columns"),
    ("csv", b"codigo_hogar;nombres\r\n" + b"A;B\n" * 250_001, 0, "too_many_rows"),
    (
        "csv",
        b"codigo_hogar;nombres\r\n" + b"%d;B\n" * 50_001 % (*range(50_001),),
        0,
        "too_many_rows",
    ),
    ("csv", b"codigo_hogar;nombres\r\nEjemplo;B", 0, "only_example"),
    ("xlsx", b"codigo_hogar;nombres\r\nA;B", 0, "not_a_workbook"),
    ("ndjson", b"{}\n" * 50_001, 0, "too_many_rows"),
    ("ndjson", b"{" + b"\n" * (source.BREAKS_MAX + 1), 0, "too_many_rows"),
    ("csv", b"codigo_hogar;nombres\n" + b"A;B\n" * 2_400_000, 0, "too_many_rows"),
    ("csv", b"codigo_hogar;nombres\rA;B" + b"\r" * source.BREAKS_MAX, 0, "too_many_rows"),
    ("csv", b"codigo_hogar;nombres\r\nA;B" + b"\r\n" * source.BREAKS_MAX, 0, "too_many_rows"),
    ("json", b"{}\n{" + b"\n" * source.BREAKS_MAX, 0, "too_many_rows"),
    ("json", b"{", 0, "not_json"),
    ("json", b"[" * 100_000, 0, "not_json"),
    ("json", b"9" * 5_000, 0, "not_json"),
    ("kobo", b"3", 0, "not_a_list"),
    ("kobo", b"NaN", 0, "not_json"),
    ("json", b"[" + b"0," * 50_000 + b"0]", 0, "too_many_rows"),
    ("json", b" " * (source.BYTES_MAX + 1), 0, "too_large"),
]


@pytest.mark.parametrize(("kind", "content", "line", "reason"), UNREADABLE)
def test_a_file_that_cannot_be_read_says_where_and_why(kind, content, line, reason):
    with pytest.raises(FileUnreadable) as refused:
        rows(content, kind)
    assert (refused.value.line, refused.value.reason) == (line, reason)
    assert reason in source.REASONS


def test_a_file_at_its_limits_is_read():
    wide = "codigo_hogar;nombres" + ";" * (source.COLUMNS_MAX - 2)
    (row,) = rows(wide + "\r\nA;B" + "\r\n" * (source.BREAKS_MAX - 1))
    assert row.reference == "A"


def test_a_text_that_falls_apart_under_a_wrong_delimiter_is_no_header():
    (row,) = rows("codigo_hogar,nombres\r\nA,B" + ";" * source.COLUMNS_MAX)
    assert row.reference == "A"


@pytest.mark.parametrize("system", ["RENIEC", "sunat", ""])
def test_an_ubigeo_system_must_be_declared(system):
    with pytest.raises(FileUnreadable) as refused:
        intake.rows(b"[]", format="json", ubigeo_system=system)
    assert refused.value.reason == "ubigeo_system_unknown"


def test_json_comes_as_one_as_a_list_or_on_lines():
    one = {"reference": "A"}
    assert [row.reference for row in rows(json.dumps(one), "json")] == ["A"]
    found = rows(json.dumps([one, 3]), "json")
    assert [(row.number, row.reference, row.raw) for row in found] == [(1, "A", one), (2, "", None)]
    lines = rows('\ufeff{"reference": "A"}\n\n{oops\n{"reference": "B"}\n', "json")
    assert [(row.number, row.reference) for row in lines] == [(1, "A"), (3, ""), (4, "B")]
    assert [each.code for each in lines[1].faults] == ["row_syntax"]
    answer = intake.read(lines[1], today=TODAY)
    assert (answer.registration, answer.faults) == (None, lines[1].faults)


def test_a_second_household_under_one_code_is_named_and_a_repetition_is_not():
    found = rows('[{"reference": "A"}, {"reference": "A"}, {"reference": "A", "x": 1}]', "json")
    assert [[each.code for each in row.faults] for row in found] == [[], [], ["reference_repeated"]]


KOBO = {
    "_id": 1,
    "_uuid": "u-1",
    "_submission_time": "2026-02-03T10:00:00",
    "meta/instanceID": "uuid:u-1",
    "lugar/distrito": "240101",
    "hogar/tipo_poblacion": "en_destino",
    "hogar/asistencia": "alquiler salud",
    "consentimientos/consentimiento_registro": "si",
    "consentimientos/consentimiento_duplicados": True,
    "consentimientos/consentimiento_version": "3",
    "jefe/nombres": "Yaquelin",
    "jefe/apellidos": "Pérez",
    "jefe/edad": 30,
    "personas": [
        {
            "personas/nombres": "Usnavi",
            "personas/apellidos": "Pérez",
            "personas/fecha_nacimiento": "2015-05-04",
            "personas/parentesco": "hijo",
            "personas/documentos": [
                {
                    "personas/documentos/tipo": "cedula",
                    "personas/documentos/numero": "V1",
                },
                {
                    "personas/documentos/tipo_documento": "pasaporte",
                    "personas/documentos/numero_documento": "123456789",
                    "personas/documentos/pais_documento": "VEN",
                },
            ],
        },
    ],
}


def test_a_kobo_export_is_read_with_its_groups_and_repeats():
    ((registration, faults),) = read(json.dumps({"results": [KOBO]}), "kobo")
    assert faults == ["1/personas/documentos/numero (1) document_form"]
    assert registration.reference == "u-1"
    assert registration.registered_on == date(2026, 2, 3)
    assert registration.assistance_wanted == ("rent", "health")
    head, child = registration.persons
    assert head.relationship == "head"
    assert head.birth_precision == "age"
    assert [each.type for each in child.documents] == ["ve-cedula", "passport"]


def test_a_fault_in_a_kobo_repeat_names_record_and_question():
    bad = KOBO | {"personas": [{"personas/sexo": "x", "personas/nombres": "Usnavi"}, 7]}
    ((_, faults),) = read(json.dumps([bad]), "kobo")
    assert "1/personas/sexo (1) code_unknown" in faults
    assert "1/personas (2) field_missing" not in faults
    assert "1/nombres field_missing" in faults


FRAGMENTS = st.sampled_from([TITLES, FIRST, SECOND, OTHER, ";", '"', "\n", "\r", "A1", "\ufeff"])
CSVS = st.lists(FRAGMENTS | st.text(max_size=9), max_size=12).map("".join)
BYTES = st.binary(max_size=300) | CSVS.map(lambda text: text.encode("utf-8", "replace"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KOBO, *KOBO["personas"][0]]) | st.text(), inner)
    ),
    max_leaves=25,
)


def rows_or_none(content, kind):
    with suppress(FileUnreadable):
        return rows(content, kind)
    return []


@pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "xlsx", "kobo"])
@settings(max_examples=150, deadline=None)
@given(content=BYTES)
def test_any_bytes_give_rows_or_a_refusal(kind, content):
    for row in rows_or_none(content, kind):
        answer = intake.read(row, today=TODAY)
        assert answer.registration is not None or answer.faults
        for each in answer.faults:
            assert intake.locate(each, row).row >= 1


@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_any_json_gives_rows_or_a_refusal_at_the_kobo_door(value):
    for row in rows_or_none(json.dumps(value), "kobo"):
        intake.read(row, today=TODAY)
