"""A checked file, given back as it came with what was found of each household."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from cbi.answered import Answer
from cbi.asked_rows import PIECE
from cbi.intake import Format, annotate
from cbi.intake.annotate_xlsx import annotate_xlsx
from cbi.intake.source import Row

Annotate = Callable[[bytes, Sequence[tuple[Row, Answer]]], bytes]
ANNOTATE: Mapping[Format, Annotate] = {
    "csv": annotate.annotate_csv,
    "xlsx": annotate_xlsx,
    "json": annotate.annotate_json,
    "ndjson": annotate.annotate_lines,
    "kobo": annotate.annotate_kobo,
}
ANSWERS = msgspec.json.Decoder(list[Answer])


class CheckedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file, its households as they were read, and their answers; both in pieces, in order."""

    content: bytes
    format: Format
    read: Sequence[bytes]
    answers: Sequence[bytes]


def annotated(checked: CheckedFile) -> bytes:
    """Return the file with three more columns, or keys."""
    answers = (answer for piece in checked.answers for answer in ANSWERS.decode(piece))
    pairs = list(zip(_rows(checked), answers, strict=True))
    return ANNOTATE[checked.format](checked.content, pairs)


def _rows(checked: CheckedFile) -> Iterator[Row]:
    for piece in checked.read:
        yield from (each.row for each in PIECE.decode(piece))
