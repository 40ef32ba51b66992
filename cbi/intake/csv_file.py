"""CSV as a spreadsheet writes it: one line per person, lines of one household share its code."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from cbi.fault import Finding, Path
from cbi.intake.mapper import to_row
from cbi.intake.source import COLUMNS_MAX, LINES_MAX, ROWS_MAX, Cell, Cells, Entry, Row, text_of
from cbi.intake.words import HOUSEHOLD_COLUMNS, column, fold
from cbi.refusal import FileUnreadable

# A title, a logo and a blank line often stand above the header.
HEADER_LINE_MAX = 10
_DELIMITERS = ";,\t|"

Line = tuple[int, list[str]]


def rows(content: bytes) -> Iterator[Row]:
    """The households of a CSV file in the order in which they first appear."""
    text = text_of(content)
    _refuse_endless(text)
    lines, titles = _table(text)
    names = [column(title) for title in titles.cells]
    repeated = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if repeated:
        raise FileUnreadable(line=titles.number, reason="column_repeated")
    entries = list(_entries(lines, titles, names))
    m_means = what_m_means(
        cells["sexo"].text for entry in entries for cells in entry.persons if "sexo" in cells
    )
    return (to_row(entry, m_means=m_means) for entry in entries)


def what_m_means(sexes: Iterator[str]) -> str:
    """M beside H (hombre) is mujer, M beside F is masculino, beside both it is anybody's guess."""
    seen = {fold(sex) for sex in sexes}
    if "h" in seen:
        return "" if "f" in seen else "F"
    return "M"


def _refuse_endless(text: str) -> None:
    """Count lines and columns before anything is built: a million of them fill the memory."""
    if text.count("\n") + text.count("\r") - text.count("\r\n") > LINES_MAX:
        raise FileUnreadable(line=0, reason="too_many_rows")
    first = io.StringIO(text.lstrip(), newline="").readline()
    if max(map(first.count, _DELIMITERS)) >= COLUMNS_MAX:
        raise FileUnreadable(line=1, reason="too_many_columns")


class _Titles:
    def __init__(self, number: int, cells: list[str]) -> None:
        self.number = number
        self.cells = cells


def _table(text: str) -> tuple[list[Line], _Titles]:
    """The lines below the header, and the header, under the delimiter that shows one."""
    if not text.strip():
        raise FileUnreadable(line=0, reason="empty")
    for delimiter in _DELIMITERS:
        for number, cells in islice(_lines(text, delimiter), HEADER_LINE_MAX):
            names = {column(cell) for cell in cells[:COLUMNS_MAX]}
            header = "codigo_hogar" in names and names & {"nombres", "primer_nombre"}
            # Under a wrong delimiter a row's long text may fall apart, and is no header for it.
            if header and len(cells) > COLUMNS_MAX:
                raise FileUnreadable(line=number, reason="too_many_columns")
            if header:
                lines = (line for line in _lines(text, delimiter) if line[0] > number)
                below = list(islice(lines, ROWS_MAX + 1))
                if len(below) > ROWS_MAX:
                    raise FileUnreadable(line=0, reason="too_many_rows")
                return below, _Titles(number, [cell.strip() for cell in cells])
    raise FileUnreadable(line=1, reason="header_missing")


def _lines(text: str, delimiter: str) -> Iterator[Line]:
    """Lines that hold something, with the number of their first line in the file."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise FileUnreadable(line=number, reason="csv_syntax") from error


def _entries(lines: list[Line], titles: _Titles, names: list[str]) -> Iterator[Entry]:
    unknown = [
        (
            Finding((fold(title) or "?",), "column_unknown"),
            Cell("", titles.number, title[:60]),
        )
        for title, name in zip(titles.cells, names, strict=True)
        if title and not name
    ]
    households: dict[str, Entry] = {}
    for number, cells in lines:
        found = {
            name: Cell(text, number, title)
            for name, title, text in zip(names, titles.cells, map(str.strip, cells), strict=False)
            if name and text
        }
        reference = found.get("codigo_hogar")
        # A line without a code is a household by itself, so that its faults are told apart.
        key = reference.text if reference is not None else f"\n{number}"
        entry = households.setdefault(key, Entry(number, {}, [], []))
        if any(text.strip() for text in cells[len(names) :]):
            entry.findings.append(_at(entry, "row_cells", Cell("", number, "")))
        if reference is None:
            place = Cell("", number, "codigo_hogar")
            entry.findings.append((Finding(("reference",), "row_reference"), place))
        _add(entry, found, Cell("", number, ""))
    for index, entry in enumerate(households.values()):
        yield entry._replace(findings=unknown + entry.findings) if index == 0 else entry


def _add(entry: Entry, found: Cells, line: Cell) -> None:
    for name in HOUSEHOLD_COLUMNS.keys() & found.keys():
        said = entry.household.setdefault(name, found[name])
        if said.text != found[name].text:
            entry.findings.append(_at(entry, "row_conflict", found[name], name))
    person = {name: cell for name, cell in found.items() if name not in HOUSEHOLD_COLUMNS}
    # A line with nothing of a person still counts as one: its faults show what is missing.
    entry.persons.append(person or {"": line})


def _at(entry: Entry, code: str, cell: Cell, name: str = "") -> tuple[Finding, Cell]:
    place: Path = ("persons", len(entry.persons))
    return Finding((*place, name) if name else place, code), cell
