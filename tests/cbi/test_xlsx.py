"""Workbooks as partners have them: what a spreadsheet mangles is read right, or named."""

import zipfile
from contextlib import suppress
from datetime import date, datetime
from io import BytesIO

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from cbi.intake import workbook as workbooks
from cbi.intake.cell import place_of
from cbi.intake.workbook import Workbook
from cbi.refusal import FileUnreadable
from tests.cbi.test_intake import read, rows

TITLES = [
    *("Código hogar", "Fecha de registro", "ubigeo", "Tipo de población", "Consentimiento"),
    *("consentimiento_version", "Consentimiento Duplicados", "Nombres", "Apellidos"),
    *("Fecha de Nacimiento", "Sexo", "Parentesco", "Tipo documento", "N° documento", "Celular"),
]
DAY = datetime(2026, 2, 3)  # noqa: DTZ001
BORN = datetime(1990, 12, 31)  # noqa: DTZ001
FIRST = [
    *("A1", DAY, "240101", "En tránsito", "Sí", "v1", "no", "Yaquelin", "Pérez Núñez"),
    *(BORN, "mujer", "Jefe/a", "Cédula", "V12345678", 987654321),
]
SECOND = ["A1", *[None] * 6, "Usnavi", "Pérez", 2015, "H", "hijo/a", None, None, None]
OTHER = [
    *("B2", "3/2/2026", "230101", "en destino", True, "v1", 1, "José", "Quispe"),
    *("1-5-1980", "h", "jefe", "DNI", 10117410, 987654321.0),
]
SHEET = "xl/worksheets/sheet1.xml"


STRICT = (
    *[(b"http://schemas.openxmlformats.org/spreadsheetml/2006/main", b"ooxml/spreadsheetml/main")],
    (
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        b"ooxml/officeDocument/relationships",
    ),
)


def book(*sheets, merged=(), hidden=(), names=(), is_1904=False, **options) -> bytes:
    """A workbook as a spreadsheet writes it: lists of rows of values."""
    file = BytesIO()
    facts = {"in_memory": True, "default_date_format": "dd/mm/yy", "date_1904": is_1904}
    facts["strings_to_formulas"] = False  # written as it is, whatever it holds, it is no XML
    made = xlsxwriter.Workbook(file, facts)
    percent, time = made.add_format({"num_format": "0.0%"}), made.add_format(options)
    for number, lines in enumerate(sheets):
        sheet = made.add_worksheet(names[number] if names else None)
        for row, cells in enumerate(lines):
            for column, cell in enumerate(cells):
                if isinstance(cell, tuple):
                    sheet.write_number(row, column, cell[0], percent if cell[1] == "%" else time)
                elif isinstance(cell, str) and cell.startswith("#"):
                    sheet.write_formula(row, column, "=1/0", None, cell)
                elif cell is not None:
                    sheet.write(row, column, cell)
        for row in hidden:
            sheet.set_row(row, None, None, {"hidden": True})
        for first, last, column, value in merged:
            sheet.merge_range(first, column, last, column, value)
    made.close()
    return file.getvalue()


def replaced(line, title, value):
    cells = list(line)
    cells[TITLES.index(title)] = value
    return cells


def test_a_workbook_of_one_row_per_person_becomes_households():
    content = book([["Lista de hogares"], [], TITLES, FIRST, [], SECOND, OTHER])
    (first, faults), (other, others) = read(content, "xlsx")
    assert faults == others == []
    assert first.registered_on == date(2026, 2, 3)
    yaquelin, usnavi = first.persons
    assert (yaquelin.birth_date, yaquelin.phones) == (date(1990, 12, 31), ("+51987654321",))
    assert (usnavi.birth_date, usnavi.birth_precision) == (date(2015, 1, 1), "year")
    assert other.persons[0].documents[0].number == "10117410"
    assert [each.granted for each in other.consents] == [True, True]


MANGLED = [
    ("N° documento", 1.2e18, "excel_number"),
    ("N° documento", "1,2E+08", "excel_number"),
    ("N° documento", DAY, "excel_date_text"),
    ("N° documento", "#DIV/0!", "excel_error"),
    ("Nombres", "#N/A", "excel_error"),
    ("ubigeo", 40101, "ubigeo_short"),
    ("Fecha de Nacimiento", 33238, "excel_date"),
    ("Fecha de Nacimiento", (1990, ""), "excel_year"),
    ("Fecha de Nacimiento", "31/31/1990", "date_form"),
    ("Sexo", (0.5, "%"), "code_unknown"),
    ("Sexo", False, "code_unknown"),
    ("Consentimiento", 3, "bool_wanted"),
    ("Código hogar", None, "row_reference"),
]


@pytest.mark.parametrize(("title", "value", "code"), MANGLED)
def test_what_a_spreadsheet_mangled_is_named_with_its_cell(title, value, code):
    line = replaced(FIRST, title, value)
    content = book([TITLES, line, OTHER], num_format="dd/mm/yyyy")
    *_, (refused, faults), (good, _) = read(content, "xlsx")
    assert refused is None
    column = "codigo_hogar" if code == "row_reference" else title
    assert f"2/{column} {code}" in faults
    assert good.reference == "B2"


def test_lost_zeros_of_a_number_cell_are_a_warning_and_floats_have_no_tail():
    line = replaced(replaced(FIRST, "Tipo documento", "PTP"), "N° documento", 1234567.0)
    ((registration, faults),) = read(book([TITLES, line]), "xlsx")
    assert faults == ["2/N° documento excel_zeros"]
    assert registration.persons[0].documents[0].number == "1234567"
    aged = [*TITLES[:9], "Edad", *TITLES[10:]]
    ((registration, faults),) = read(book([aged, replaced(FIRST, TITLES[9], "35,0")]), "xlsx")
    assert (registration.persons[0].birth_precision, faults) == ("age", [])


def test_merged_household_cells_are_carried_down_over_its_persons():
    second = [None, *SECOND[1:]]
    merged = [(1, 2, 0, "A1"), (1, 2, 8, "Pérez")]
    ((registration, faults),) = read(
        book([TITLES, FIRST, [*second[:8], None, *second[9:]]], merged=merged), "xlsx"
    )
    assert faults == []
    assert [each.surnames for each in registration.persons] == ["Pérez", "Pérez"]


def test_lines_of_a_household_far_apart_are_one_household_and_others_are_not_held_up():
    found = rows(book([TITLES, FIRST, OTHER, SECOND]), "xlsx")
    assert [(row.reference, len(row.raw["persons"])) for row in found] == [("B2", 1), ("A1", 2)]


def test_hidden_rows_are_read_and_told():
    content = book([TITLES, FIRST, SECOND, OTHER], hidden=[2])
    (first, faults), _ = read(content, "xlsx")
    assert faults == ["3/ row_hidden"]
    assert len(first.persons) == 2


def test_the_sheet_with_the_header_is_read_and_several_are_named():
    notes = [["Instrucciones"], ["codigo_hogar", "El código"]]
    ((_, faults),) = read(book(notes, [TITLES, FIRST]), "xlsx")
    assert faults == []
    bad = replaced(OTHER, "Sexo", "x")
    content = book([TITLES, FIRST], notes, [TITLES, bad], names=["Enero", "Notas", "Febrero"])
    first, second = rows(content, "xlsx")
    assert (first.sheet, second.sheet) == ("Enero", "Febrero")
    from cbi import intake  # noqa: PLC0415

    (fault,) = intake.read(second, today=date(2026, 6, 1)).faults
    assert intake.locate(fault, second).es == "hoja Febrero, fila 2, columna Sexo"
    assert intake.value(fault, second) == "x***"


def test_a_copy_of_a_sheet_is_a_repetition_and_a_changed_copy_is_named():
    changed = replaced(FIRST, "Apellidos", "Otra")
    content = book([TITLES, FIRST], [TITLES, FIRST], [TITLES, changed])
    assert [faults for _, faults in read(content, "xlsx")] == [
        [],
        [],
        ["2/Código hogar reference_repeated"],
    ]


def part(content: bytes, name: str, changed) -> bytes:
    """The workbook with one part changed."""
    file = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(content)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for each in old.infolist():
            was = old.read(each)
            new.writestr(each.filename, changed(was) if each.filename == name else was)
    return file.getvalue()


GOOD = book([TITLES, FIRST])


def in_rows(xml: bytes):
    return lambda was: was.replace(b"</sheetData>", xml + b"</sheetData>")


def test_a_workbook_saved_as_strict_is_read_too():
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(GOOD)) as old, zipfile.ZipFile(file, "w") as new:
        for each in old.infolist():
            content = old.read(each)
            for usual, strict in STRICT:
                content = content.replace(usual, b"http://purl.oclc.org/" + strict)
            new.writestr(each.filename, content)
    assert read(file.getvalue(), "xlsx") == read(GOOD, "xlsx")


def test_dates_of_the_calendar_that_begins_in_1904_are_the_same_days():
    assert read(book([TITLES, FIRST], is_1904=True), "xlsx") == read(GOOD, "xlsx")


def test_a_million_formatted_rows_and_a_far_off_blank_cell_cost_nothing():
    blank = b"".join(b'<row r="%d" s="1"/>' % row for row in range(3, 200_000))
    far = b'<row r="1048576"><c r="XFD1048576" s="1"/></row>'
    ((registration, _),) = read(part(GOOD, SHEET, in_rows(blank + far)), "xlsx")
    assert registration is not None


HOSTILE = {
    "a bomb": (in_rows(b" " * (32 * 1024 * 1024)), "workbook_unfolds"),
    "an endless row": (in_rows(b"<row>" + b"<c/>" * 3_000_000 + b"</row>"), "workbook_unfolds"),
    "a far column": (
        in_rows(b'<row r="3"><c r="XFD3"><v>1</v></c></row>'),
        "too_many_columns",
    ),
    "a far row": (in_rows(b'<row r="1048577"><c><v>1</v></c></row>'), "too_many_rows"),
    "cells that go back": (
        in_rows(b'<row r="3"><c r="B3"><v>1</v></c><c r="A3"><v>1</v></c></row>'),
        "not_a_workbook",
    ),
    "entities": (lambda was: b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + was[55:], "not_a_workbook"),
    "UTF-16": (lambda was: was.decode().encode("utf-16"), "not_a_workbook"),
    "no XML": (lambda _: b"<sheetData><row", "not_a_workbook"),
    "broken XML": (in_rows(b"<row></c>"), "not_a_workbook"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_workbook_is_refused_by_name(kind):
    change, reason = HOSTILE[kind]
    with pytest.raises(FileUnreadable) as refused:
        rows(part(GOOD, SHEET, change), "xlsx")
    assert refused.value.reason == reason


def test_a_workbook_of_more_cells_than_a_file_may_have_is_refused(monkeypatch):
    monkeypatch.setattr(workbooks, "CELLS_MAX", 40)
    with pytest.raises(FileUnreadable) as refused:
        rows(book([TITLES, FIRST, SECOND, OTHER]), "xlsx")
    assert refused.value.reason == "workbook_unfolds"


def test_dates_written_out_and_halves_of_characters_are_read_as_what_they_are():
    cells = b"".join(
        b'<c t="%b"><v>%b</v></c>' % each
        for each in [
            *[(b"d", b"1990-12-31T00:00:00"), (b"d", b"31/12/1990"), (b"str", b"_xD800_1")],
            *[(b"str", b"a_x000A_b"), (b"s", b"99999"), (b"n", b"NaN"), (b"b", b"1")],
        ]
    )
    content = part(GOOD, SHEET, in_rows(b"<row>" + cells + b"</row>"))
    *_, row = Workbook(content).rows(Workbook(content).sheets[0])
    assert [(text, kind) for _, text, kind in row.cells] == [
        *[("1990-12-31", "date"), ("31/12/1990", "text"), ("_xD800_1", "text")],
        *[("a\nb", "text"), ("NaN", "text"), ("si", "bool")],
    ]


OTHERS = {
    "workbook_old": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    "workbook_encrypted": b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"),
    "not_a_workbook": b"PK\x03\x04 a workbook",
    "workbook_sheets": book(*[[]] * (workbooks.SHEETS_MAX + 1)),
}
with zipfile.ZipFile(_file := BytesIO(), "w") as _archive:
    _archive.writestr("xl/workbook.bin", b"")
OTHERS["workbook_other"] = _file.getvalue()
with zipfile.ZipFile(_file := BytesIO(), "w") as _archive:
    for _number in range(workbooks.PARTS_MAX + 1):
        _archive.writestr(f"{_number}", b"")
OTHERS["workbook_unfolds"] = _file.getvalue()


@pytest.mark.parametrize("reason", OTHERS)
def test_what_is_no_workbook_of_today_is_refused_by_what_it_is(reason):
    with pytest.raises(FileUnreadable) as refused:
        rows(OTHERS[reason], "xlsx")
    assert refused.value.reason == reason


CELLS = st.none() | st.booleans() | st.text(st.characters(codec="utf-8"), max_size=12)
CELLS |= st.integers(-(10**14), 10**14) | st.floats(-1e300, 1e300)
CELLS |= st.dates(date(1901, 1, 1), date(2199, 1, 1))


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.lists(CELLS, max_size=6), max_size=6))
def test_the_reader_sees_what_another_reader_sees(lines):
    written = [
        [datetime(*each.timetuple()[:3]) if isinstance(each, date) else each for each in line]  # noqa: DTZ001
        for line in lines
    ]
    with suppress(xlsxwriter.exceptions.XlsxWriterException):
        content = book([[None if each == "" else each for each in line] for line in written])
        ours = Workbook(content)
        mine = {
            (row.number, place): (text, kind)
            for row in ours.rows(ours.sheets[0])
            for place, text, kind in row.cells
        }
        sheet = CalamineWorkbook.from_filelike(BytesIO(content)).get_sheet_by_index(0)
        for number, cells in enumerate(sheet.to_python(skip_empty_area=False), start=1):
            for place, value in enumerate(cells):
                text, kind = mine.pop((number, place), ("", "text"))
                match value:
                    case bool():
                        assert (text, kind) == ("si" if value else "no", "bool")
                    case date():
                        assert (text, kind) == (value.isoformat()[:10], "date")
                    case float() | int():
                        assert kind == "number"
                        assert float(text) == pytest.approx(value, rel=1e-13)
                    case _:
                        assert (text, kind) == (value, "text")
        assert mine == {}


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(GOOD) - 1), changed=st.binary(max_size=8), cut=st.integers(0, 2))
def test_a_damaged_workbook_gives_rows_or_a_refusal(place, changed, cut):
    damaged = GOOD[:place] + changed + GOOD[place + cut * len(changed) :]
    with suppress(FileUnreadable):
        rows(damaged, "xlsx")


def test_places_of_columns_are_counted_as_spreadsheets_do():
    assert [place_of(each) for each in ("A", "Z", "AA", "XFD")] == [0, 25, 26, 16_383]
