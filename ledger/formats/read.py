"""One door for whatever a bank sends: a file in, its lines and frames out, as they are read."""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from ledger.formats import camt, mt940, pacs004, pain002, table, xml
from ledger.formats.layout import Layout
from ledger.formats.xml import Unreadable
from ledger.statement import Frame, Line, RejectedLine, Statement

STATEMENTS_MAX = 1000
BEGIN_BYTES = 4096
ZIP = b"PK\x03\x04"


def read_file(
    file: BinaryIO, *, layout: Layout | None = None, bytes_max: int = xml.BYTES_MAX
) -> Iterator[Line | RejectedLine | Frame]:
    """Read pain.002, camt.053, camt.054, pacs.004, MT940, or a table by its layout.

    The file can be rewound. Yields a statement's lines and then its frame, statement after
    statement, and holds none of them; only a workbook is laid out in memory, within limits. A part
    that can't be read is a RejectedLine. Raises Unreadable, and nothing else, when the file as a
    whole can't be read: what was yielded before is void then.
    """
    statements = 0
    for part in _parts(file, layout, bytes_max):
        yield part
        if isinstance(part, Frame):
            statements += 1
            if statements > STATEMENTS_MAX:
                raise Unreadable("/", f"more than {STATEMENTS_MAX} statements")


def _parts(
    file: BinaryIO, layout: Layout | None, bytes_max: int
) -> Iterator[Line | RejectedLine | Frame]:
    file.seek(0)
    begin = file.read(BEGIN_BYTES)
    if layout is not None:
        if layout.form == "csv":
            xml.refuse_early(file, bytes_max=bytes_max, is_xml=False)
        return table.read(file, layout)
    if begin.startswith(ZIP):
        raise Unreadable("/", "a table is read by a layout, and none is named")
    is_xml = not mt940.looks_like(begin)
    xml.refuse_early(file, bytes_max=bytes_max, is_xml=is_xml)
    if not is_xml:
        return mt940.read(file)
    message = xml.message_type(file)
    if message in pain002.VERSIONS:
        return pain002.read(file, message)
    if message in camt.VERSIONS:
        return camt.read(file, message)
    if message in pacs004.VERSIONS:
        return pacs004.read(file, message)
    # The namespace is content too, so the refusal does not repeat it.
    raise Unreadable("/", "a message or version that is not read here")


def read(content: bytes) -> Statement:
    """Read a file that holds exactly one message; Unreadable otherwise."""
    statements = read_all(content)
    if len(statements) != 1:
        raise Unreadable("/", f"{len(statements)} statements where one is expected")
    return statements[0]


def read_all(content: bytes, layout: Layout | None = None) -> tuple[Statement, ...]:
    """Read a small file whole, statement by statement, in file order."""
    return tuple(gathered(read_file(BytesIO(content), layout=layout)))


def gathered(parts: Iterator[Line | RejectedLine | Frame]) -> Iterator[Statement]:
    """Put each frame and the lines before it together."""
    lines: list[Line] = []
    rejected: list[RejectedLine] = []
    for part in parts:
        if isinstance(part, Line):
            lines.append(part)
        elif isinstance(part, RejectedLine):
            rejected.append(part)
        else:
            facts = {name: getattr(part, name) for name in Frame.__struct_fields__}
            yield Statement(**facts, lines=tuple(lines), rejected=tuple(rejected))
            lines, rejected = [], []
