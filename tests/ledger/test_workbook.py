"""Workbooks that are made to fill the memory, or that are none."""

import zipfile
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.formats import workbook as workbooks
from ledger.formats.xml import Unreadable
from tests.ledger.test_table import REPORT, workbook

SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def changed(name=SHEET, content=b"", made=None) -> bytes:
    """A good workbook with one part replaced."""
    file = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(made or workbook(REPORT))) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.infolist():
            new.writestr(part.filename, content if part.filename == name else old.read(part))
    return file.getvalue()


def sheet(rows: str) -> bytes:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'.encode()


def lying_about_its_size(content: bytes) -> bytes:
    """The directory says that each part unfolds to ten bytes."""
    out = bytearray(content)
    at = 0
    while (at := out.find(b"PK\x01\x02", at)) >= 0:
        out[at + 24 : at + 28] = (10).to_bytes(4, "little")
        at += 4
    return bytes(out)


LARGE = sheet(f"<row><c><v>1</v></c></row>{' ' * (workbooks.PART_MAX + 1)}")
MANY = BytesIO()
with zipfile.ZipFile(MANY, "w") as _archive:
    for _number in range(workbooks.PARTS_MAX + 1):
        _archive.writestr(f"{_number}", b"")
SHARED = (
    f'<sst xmlns="{MAIN}"><si><t>{"x" * 30_000}</t></si></sst>'.encode(),
    sheet(("<row>" + '<c t="s"><v>0</v></c>' * 200 + "</row>") * 400),
)


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(
            changed(content=sheet('<row><c r="XFD1"><v>1</v></c></row>')), id="far column"
        ),
        pytest.param(
            changed(content=sheet('<row><c r="A1048576"><v>1</v></c></row>')), id="far row"
        ),
        pytest.param(
            changed(content=sheet("<row><c r='&#88;FD9'><v>1</v></c></row>")), id="far and hidden"
        ),
        pytest.param(
            changed(content=sheet('<row r="1048576"><c><v>1</v></c></row>')), id="row tells"
        ),
        pytest.param(
            changed(content=sheet("<row/>" * 200_001 + "<row><c/></row>")), id="many rows"
        ),
        pytest.param(changed(content=LARGE), id="unfolds"),
        pytest.param(lying_about_its_size(changed(content=LARGE)), id="unfolds and lies"),
        pytest.param(
            changed("xl/sharedStrings.xml", SHARED[0], changed(content=SHARED[1])), id="shared"
        ),
        pytest.param(
            changed(content=b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + sheet("<row/>")), id="entities"
        ),
        pytest.param(MANY.getvalue(), id="many parts"),
        pytest.param(workbook(REPORT)[:-30], id="cut"),
        pytest.param(b"PK\x03\x04" + b"x" * 100, id="no archive"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_workbook_that_would_take_too_much_is_refused_before_it_is_laid_out(hostile):
    with pytest.raises(Unreadable):
        workbooks.measure(BytesIO(hostile))


def test_a_sheet_is_found_by_its_name_or_is_not():
    content = BytesIO(workbook(REPORT, sheet="Pagos"))
    assert next(workbooks.rows(content, "Pagos")) == (1, ["Reporte", "R-77", *[""] * 5])
    assert next(workbooks.rows(content))[0] == 1
    with pytest.raises(Unreadable):
        next(workbooks.rows(content, "Otra"))


def test_rows_keep_their_numbers_when_the_first_are_empty():
    found = list(workbooks.rows(BytesIO(workbook([[], [], ["a"]]))))
    assert [(number, list(row)) for number, row in found if any(row)] == [(3, ["a"])]


# Made once: a workbook carries the second in which it was made, and its size goes with that.
MADE_ONCE = workbook(REPORT)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_workbook_with_any_part_changed_is_read_or_refused(data):
    content = MADE_ONCE
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(zipfile.ZipFile(BytesIO(content)).namelist()))
        part = zipfile.ZipFile(BytesIO(content)).read(name)
        at = data.draw(st.integers(0, len(part)))
        part = (
            part[:at]
            + data.draw(st.binary(max_size=20))
            + part[at + data.draw(st.integers(0, 9)) :]
        )
        content = changed(name, part, content)
    else:
        at = data.draw(st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=8)) + content[at + 3 :]
    try:
        list(workbooks.rows(BytesIO(content)))
    except Unreadable:
        return
