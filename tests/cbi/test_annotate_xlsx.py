"""A workbook comes back as it was, with three more columns."""

import tracemalloc
import zipfile
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from cbi import intake
from cbi.intake.annotate_xlsx import annotate_xlsx
from cbi.intake.source import PIECE_BYTES
from cbi.refusal import FileUnreadable
from tests.cbi.test_annotate import BLOCKED, CLEAR, REVIEW
from tests.cbi.test_xlsx import FIRST, OTHER, SECOND, SHEET, TITLES, book

SPANISH = ["resultado", "hasta_o_motivo", "contacto"]
HELD = "hasta 2026-09-01: La familia ya tiene esta asistencia en estos meses."


def answered(content: bytes, *answers):
    found = list(intake.rows(content, format="xlsx", ubigeo_system="inei"))
    return list(zip(found, answers, strict=True))


def sheet(content: bytes, place: int = 0) -> list[list[object]]:
    return CalamineWorkbook.from_filelike(BytesIO(content)).get_sheet_by_index(place).to_python()


def test_each_row_says_what_is_known_of_its_household_and_all_else_stays():
    content = book([["Lista"], TITLES, FIRST, OTHER, SECOND])
    made = annotate_xlsx(content, answered(content, CLEAR, BLOCKED))
    before, after = sheet(content), sheet(made)
    assert [line[: len(TITLES)] for line in after] == before
    more = [line[len(TITLES) :] for line in after]
    blocked = ["bloqueado", HELD, "coordinacion@example.org"]
    # A household is handed out with its last line, so the one of a single line comes first.
    assert more == [["", "", ""], SPANISH, blocked, ["libre", "", ""], blocked]
    with zipfile.ZipFile(BytesIO(content)) as given, zipfile.ZipFile(BytesIO(made)) as written:
        assert given.namelist() == written.namelist()
        others = set(given.namelist()) - {SHEET}
        assert all(given.read(name) == written.read(name) for name in others)


def test_a_workbook_that_was_checked_is_checked_again_in_its_place():
    content = book([TITLES, OTHER])
    once = annotate_xlsx(content, answered(content, REVIEW))
    again = annotate_xlsx(once, answered(once, CLEAR))
    assert sheet(again) == sheet(annotate_xlsx(content, answered(content, CLEAR)))


def test_several_sheets_are_told_each_for_itself():
    content = book([TITLES, FIRST], [["Notas"]], [TITLES, OTHER], names=["A", "B", "C"])
    made = annotate_xlsx(content, answered(content, CLEAR, BLOCKED))
    assert sheet(made, 0)[1][-3:] == ["libre", "", ""]
    assert sheet(made, 1) == [["Notas"]]
    assert sheet(made, 2)[1][-3] == "bloqueado"


def test_what_stands_beside_the_header_is_not_written_over():
    content = book([TITLES, [*OTHER, "apunte"]])
    made = annotate_xlsx(content, answered(content, CLEAR))
    assert sheet(made)[1][len(TITLES) :] == ["apunte", "libre", "", ""]


def test_a_row_without_numbers_and_with_a_prefix_is_written_too():
    """Other programs leave out the hints, or name the namespace."""
    content = book([TITLES, OTHER])
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as given, zipfile.ZipFile(out, "w") as made:
        for name in given.namelist():
            data = given.read(name)
            made.writestr(name, data.replace(b'<row r="1" ', b"<row ") if name == SHEET else data)
    bare = out.getvalue()
    assert sheet(annotate_xlsx(bare, answered(bare, CLEAR)))[1][-3:] == ["libre", "", ""]


@pytest.mark.parametrize("text", ["a\x00b", "a\x0bb", "<&>", "=1+1", " x "])
def test_any_contact_is_written_so_that_a_spreadsheet_reads_it(text):
    content = book([TITLES, OTHER])
    contact = type(CLEAR)(reference="", status="review", contact=text)
    made = annotate_xlsx(content, answered(content, contact))
    shown = sheet(made)[1][-1]
    assert shown.strip("'") == text.replace("\x00", " ").replace("\x0b", " ")


def test_a_sheet_of_many_pieces_is_written_row_by_row_in_flat_memory():
    lines = [[f"R-{n}", *OTHER[1:]] for n in range(6_000)]
    content = book([TITLES, *lines])
    answers = answered(content, *[CLEAR] * len(lines))
    with zipfile.ZipFile(BytesIO(content)) as given:
        assert given.getinfo(SHEET).file_size > 10 * PIECE_BYTES
    tracemalloc.start()
    made = annotate_xlsx(content, answers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    told = sheet(made)
    assert len(told) == len(lines) + 1
    assert [line[-3] for line in told[1:]] == ["libre"] * len(lines)
    with zipfile.ZipFile(BytesIO(made)) as written:
        shown = written.read(SHEET)
    # What a sheet of a million lines would take stays away: no tree, and no names a row.
    assert shown.count(b"xmlns") < 10
    assert peak < 20_000_000
    assert len(list(intake.rows(made, format="xlsx", ubigeo_system="inei"))) == len(lines)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 6_000), value=st.integers(0, 255))
def test_any_bytes_are_annotated_or_refused(place, value):
    content = bytearray(book([TITLES, OTHER]))
    content[place % len(content)] = value
    broken = bytes(content)
    try:
        rows = list(intake.rows(broken, format="xlsx", ubigeo_system="inei"))
        made = annotate_xlsx(broken, [(row, CLEAR) for row in rows])
    except FileUnreadable:
        return
    assert len(list(intake.rows(made, format="xlsx", ubigeo_system="inei"))) == len(rows)
