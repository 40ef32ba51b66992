"""CSV as a spreadsheet writes it: one line per person, lines of one household share its code."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from cbi.intake import table
from cbi.intake.source import COLUMNS_MAX, Row, encoding_of
from cbi.intake.table import HEADER_LINE_MAX, Line, Table
from cbi.refusal import FileUnreadable

_DELIMITERS = ";,\t|"
# Excel's own first line for a file whose delimiter is not the country's.
_SAID = re.compile(r'"?sep=([^"\r\n])"?[\s;,]*')


class Shape(NamedTuple):
    """How the file is written, so that another can be written like it."""

    encoding: str
    delimiter: str
    says_delimiter: bool


def rows(content: bytes) -> Iterator[Row]:
    """The households of a CSV file; see cbi.intake.table."""
    return table.rows([read(content)[0]])


def read(content: bytes) -> tuple[Table, Shape]:
    """The table of a CSV file under the delimiter that shows a header, and how it is written."""
    encoding = encoding_of(content)
    first = _first_line(content, encoding)
    if max(map(first.count, _DELIMITERS)) >= COLUMNS_MAX:
        raise FileUnreadable(line=1, reason="too_many_columns")
    said = _SAID.fullmatch(first.strip())
    delimiters = _DELIMITERS
    if said is not None and said[1] in _DELIMITERS:
        delimiters = said[1] + delimiters
    for delimiter in delimiters:
        lines = _lines(content, encoding, delimiter)
        header = table.header_of(islice(lines, HEADER_LINE_MAX))
        if header is not None:
            shape = Shape(encoding, delimiter, said is not None)
            return _table(content, header, shape), shape
    raise FileUnreadable(line=1, reason="header_missing")


def _first_line(content: bytes, encoding: str) -> str:
    text = io.TextIOWrapper(io.BytesIO(content), encoding, newline="")
    found = ""
    for line in text:
        found = line
        if line.strip():
            return line
    if not found.strip():
        raise FileUnreadable(line=0, reason="empty")
    return found


def _table(content: bytes, header: Line, shape: Shape) -> Table:
    def below() -> Iterator[Line]:
        lines = _lines(content, shape.encoding, shape.delimiter)
        return (line for line in lines if line.number > header.number)

    return Table(header, below)


def _lines(content: bytes, encoding: str, delimiter: str) -> Iterator[Line]:
    """Lines that hold something, with the number of their first line in the file."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding, newline="")
    reader = csv.reader(text, delimiter=delimiter)
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Line(number, cells)
            number = reader.line_num + 1
    except csv.Error as error:
        raise FileUnreadable(line=number, reason="csv_syntax") from error
