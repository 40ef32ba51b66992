"""What is handed back to be mended: like the file that came, and readable again."""

import csv
import io
import json
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from cbi import fault, intake
from cbi.intake.corrections import Note, corrected
from cbi.intake.mask import mask
from tests.cbi.test_intake import FIRST, OTHER, SECOND, TITLES, read, rows
from tests.cbi.test_xlsx import BORN, book, replaced
from tests.cbi.test_xlsx import FIRST as FIRST_CELLS
from tests.cbi.test_xlsx import OTHER as OTHER_CELLS
from tests.cbi.test_xlsx import SECOND as SECOND_CELLS
from tests.cbi.test_xlsx import TITLES as TITLE_CELLS

TODAY = date(2026, 6, 1)
BAD = SECOND.replace("2015", "31/31/2015")


def notes(content, kind):
    """What is wrong with each faulty household of a file."""
    found = {}
    for row in rows(content, kind):
        answer = intake.read(row, today=TODAY)
        if answer.registration is None:
            found[row.sheet, row.number] = [
                Note(intake.locate(each, row).row, f"{intake.locate(each, row).column}: {each.es}")
                for each in answer.faults
            ]
    return found


def mend(content, kind):
    return corrected(content, format=kind, faults=notes(content, kind))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_a_csv_comes_back_in_its_encoding_with_its_delimiter_and_the_faulty_only(
    encoding, delimiter
):
    text = ("Lista\r\n" + TITLES + FIRST + OTHER + BAD).replace(";", delimiter)
    content = mend(text.encode(encoding), "csv")
    assert content.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")
    lines = list(csv.reader(io.StringIO(content.decode(encoding)), delimiter=delimiter))
    assert [line[0] for line in lines] == ["Código Hogar", "A1", "A1"]
    assert lines[0][-1] == "faltas"
    assert lines[1][-1] == ""
    assert lines[2][-1] == "Fecha de Nacimiento: Se espera una fecha, año-mes-día."


def test_what_was_mended_is_read_and_the_column_of_faults_is_passed_over():
    content = mend((TITLES + FIRST + BAD + OTHER).encode(), "csv")
    ((refused, faults),) = read(content)
    assert (refused, faults) == (None, ["3/Fecha de Nacimiento date_form"])
    ((registration, faults),) = read(content.replace(b"31/31/2015", b"30/09/2015"))
    assert faults == []
    assert registration.persons[1].birth_date == date(2015, 9, 30)
    again = mend(content, "csv")
    assert again == content


@pytest.mark.parametrize(("other", "sex"), [("H", "F"), ("F", "M")])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_bare_m_means_in_what_comes_back_what_it_meant_in_the_whole_file(kind, other, sex):
    titles = ["codigo_hogar", "nombres", "sexo"]
    lines = [titles, ["A", "Yuleisy", "M"], ["B", "Usnavi", other]]
    content = "\r\n".join(";".join(line) for line in lines).encode()
    content = book(lines) if kind == "xlsx" else content
    faults = {("", 2): [Note(2, "x")]}
    (row,) = rows(corrected(content, format=kind, faults=faults), kind)
    assert (row.reference, row.raw["persons"][0]["sex"]) == ("A", sex)


def test_the_line_that_names_the_delimiter_and_cells_too_many_stay_as_they_are():
    content = mend(("sep=;\r\n" + TITLES + FIRST.replace("\r\n", ";more\r\n")).encode(), "csv")
    assert content.startswith(b"sep=;\r\n")
    ((refused, faults),) = read(content)
    assert (refused, faults) == (None, ["3/ row_cells"])


def test_a_workbook_comes_back_as_a_workbook_with_dates_and_zeros_kept():
    bad = replaced(SECOND_CELLS, "Sexo", "x")
    content = mend(book([TITLE_CELLS, FIRST_CELLS, bad, OTHER_CELLS]), "xlsx")
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    assert [line[0] for line in sheet] == ["Código hogar", "A1", "A1"]
    assert sheet[1][TITLE_CELLS.index("Fecha de Nacimiento")] == BORN.date()
    assert sheet[0][-1] == "faltas"
    assert sheet[2][-1].startswith("Sexo: Código desconocido.")
    ((refused, faults),) = read(content, "xlsx")
    assert (refused, faults) == (None, ["3/Sexo code_unknown"])


def test_of_several_sheets_each_comes_back_under_its_name():
    bad = replaced(OTHER_CELLS, "Sexo", "x")
    content = mend(
        book([TITLE_CELLS, FIRST_CELLS], [TITLE_CELLS, bad], names=["Enero", "Febrero"]), "xlsx"
    )
    found = CalamineWorkbook.from_filelike(io.BytesIO(content))
    # The words to choose from stand behind.
    assert found.sheet_names == ["Enero", "Febrero", "Listas"]
    names = found.sheet_names[:2]
    assert [len(found.get_sheet_by_name(each).to_python()) for each in names] == [1, 2]


CELLS = st.text(st.characters(codec="cp1252", exclude_characters="\r\n\0"), max_size=6)
LINES = st.lists(st.tuples(st.sampled_from(["A", "B", ""]), CELLS, CELLS), max_size=6)


@settings(max_examples=100, deadline=None)
@given(lines=LINES, delimiter=st.sampled_from(";,\t|"), kind=st.sampled_from(["csv", "xlsx"]))
def test_what_comes_back_has_the_same_households_and_faults(lines, delimiter, kind):
    titles = ("codigo_hogar", "nombres", "sexo")
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([titles, *lines])
    content = text.getvalue().encode("cp1252")
    if kind == "xlsx":
        cells = [[cell.replace("#", "") or None for cell in line] for line in lines]
        content = book([list(titles), *cells])
    before = notes(content, kind)
    after = notes(corrected(content, format=kind, faults=before), kind)
    assert [len(each) for each in after.values()] == [len(each) for each in before.values()]
    again = [[note.text for note in each] for each in after.values()]
    assert again == [[note.text for note in each] for each in before.values()]


MASKS = [
    ("12345678", "12****78"),
    ("1234567", "1*****7"),
    ("V12345678", "V1*****78"),
    ("123", "***"),
    ("31/31/1990", "**/**/****"),
    ("1988-4-3T00:00", "****-*-****:**"),
    ("3 de abril de 1988", "* * * * ****"),
    ("Abril 88", "* **"),
    ("04-1988", "**-****"),
    ("19880403", "********"),
    ("987 654 321", "98*******21"),
    ("Yaquelin Milagros", "Y***"),
    ("¿quizás?", "***"),
    ("", ""),
    ("\x1b[31m12345678", "[3********78"),
    ("0" * 34, "00" + "*" * 20 + "00"),
]


@pytest.mark.parametrize(("text", "masked"), MASKS)
def test_a_masked_value_tells_which_it_is_and_not_what_it_is(text, masked):
    assert mask(text) == masked


@given(text=st.text(max_size=60))
def test_no_mask_shows_more_than_four_characters_or_half_of_a_value(text):
    shown = mask(text)
    # Of a date its form: what stands between its parts.
    shown = "" if not any(each.isalnum() for each in shown) else shown.replace("*", "")
    assert len(shown) <= min(4, max(1, (len(text) + 1) // 2))


def test_the_value_of_a_fault_is_what_stood_in_the_cell_or_in_the_field():
    (row,) = rows(TITLES + FIRST.replace("V12345678", "1.2E+08").replace(";M;", ";nadie;"))
    faults = intake.read(row, today=TODAY).faults
    assert [(each.code, intake.value(each, row)) for each in faults] == [
        ("excel_number", "1*****8"),
        ("code_unknown", "n***"),
    ]
    raw = {"reference": 12345678, "persons": [{"given_names": ["x"], "sex": "nadie"}]}
    (row,) = rows(json.dumps(raw), "json")
    values = {each.path: intake.value(each, row) for each in intake.read(row, today=TODAY).faults}
    assert values["reference"] == "12****78"
    assert values["persons[0].sex"] == "n***"
    assert values["persons[0].given_names"] == values["ubigeo"] == ""


def test_every_fault_says_what_to_do_in_both_languages():
    for code, text in fault.TEXTS.items():
        for remedy in (text.remedy_es, text.remedy_en):
            assert remedy.endswith("."), code
            assert "{" not in remedy, code
        assert text.remedy_es != text.remedy_en


JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(items=st.lists(JSON, min_size=1, max_size=5), kind=st.sampled_from(["json", "ndjson"]))
def test_of_any_json_the_same_items_come_back_and_are_as_faulty(items, kind):
    written = [json.dumps(item) for item in items]
    content = ("\n".join(written) if kind == "ndjson" else f"[{','.join(written)}]").encode()
    before = notes(content, kind)
    given = corrected(content, format=kind, faults=before)
    after = notes(given, kind) if given.strip() else {}
    assert len(after) == len(before) == len(items)


@settings(max_examples=50, deadline=None)
@given(records=st.lists(st.dictionaries(st.text(max_size=9), JSON, max_size=4), max_size=4))
def test_of_any_export_the_same_records_come_back(records):
    content = json.dumps({"results": records}).encode()
    before = notes(content, "kobo")
    told = json.loads(corrected(content, format="kobo", faults=before))
    assert told["results"] == [records[number - 1] for _, number in sorted(before)]
