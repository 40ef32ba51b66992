"""Give a file back as it came, with three more columns: the result, until when or why, whom to ask.

Nothing else of the file changes: neither delimiter nor encoding, nor a quote, nor an empty line.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

import msgspec

from cbi.answered import Answer, Place
from cbi.intake import json_file, kobo, locate
from cbi.intake.source import Row
from cbi.intake.words import column, fold
from cbi.refusal import FileUnreadable

Language = Literal["es", "en"]

TITLES: Mapping[Language, tuple[str, str, str]] = {
    "es": ("resultado", "hasta_o_motivo", "contacto"),
    "en": ("result", "until_or_reason", "contact"),
}
_RESULTS = {
    "clear": {"es": "libre", "en": "clear"},
    "review": {"es": "revisar", "en": "review"},
    "blocked": {"es": "bloqueado", "en": "blocked"},
    "unsearchable": {"es": "no se pudo buscar", "en": "unsearchable"},
}
_ENGLISH = frozenset({"household_id", "household_code", "reference"})
_ENDS = ("\r\n", "\n", "\r")
_DELIMITERS = ";,\t|"
HEADER_LINE_MAX = 10
FAULTS_TOLD_MAX = 3
# A spreadsheet would run such a text as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


class _Shape(NamedTuple):
    encoding: str
    mark: bytes
    delimiter: str
    header: int
    titles: list[str]


class Note(msgspec.Struct, frozen=True):
    """The three cells of one household."""

    result: str
    detail: str
    contact: str


def note(answer: Answer, row: Row, language: Language, *, rows: Sequence[Row] = ()) -> Note:
    """Put an answer into three cells; `rows` are all of the file, of which some are named."""
    said = [getattr(answer.says, language)] if answer.says is not None else []
    if answer.until is not None:
        until = answer.until.isoformat()
        said.insert(0, f"hasta {until}:" if language == "es" else f"until {until}:")
    elif answer.matches:
        said.append(getattr(answer.matches[0].says, language))
    if answer.twice:
        named = "; ".join(_place(place, rows, language) for place in answer.twice)
        said.append(f"({named})")
    if answer.reason == "faulty":
        said += [
            f"{getattr(locate(fault, row), language)}: {getattr(fault, language)}"
            for fault in answer.faults[:FAULTS_TOLD_MAX]
        ]
    return Note(
        _RESULTS[answer.status][language], _harmless(" ".join(said)), _harmless(answer.contact)
    )


def annotate_csv(content: bytes, answers: Sequence[tuple[Row, Answer]]) -> bytes:
    """Return a CSV file with three more columns, each line with what is said of its household.

    `answers` are those of the households of `csv_file.rows`. Raises FileUnreadable as it does.
    """
    shape, text = _shape(content)
    language = language_of(shape.titles)
    titles = TITLES[language]
    again = [fold(title) for title in shape.titles[-3:]] == list(titles)
    width = len(shape.titles) - 3 * again
    notes = _by_line(answers, language)
    at = next(i for i, title in enumerate(shape.titles) if column(title) == "codigo_hogar")
    out = io.StringIO(newline="")
    for number, cells, raw in _records(text, shape.delimiter):
        body, end = _without_end(raw)
        if number < shape.header or not any(cell.strip() for cell in cells):
            out.write(raw)
            continue
        if again:
            body = _written(cells[:width], shape.delimiter)
        elif _is_open(body, cells, shape.delimiter):
            body = _written(cells, shape.delimiter)
        missing = shape.delimiter * max(width - len(cells), 0)
        if number == shape.header:
            more: Sequence[str] = titles
        else:
            reference = cells[at].strip() if at < len(cells) else ""
            told = notes.get(reference or number)
            more = msgspec.structs.astuple(told) if told is not None else ("", "", "")
        out.write(body + missing + shape.delimiter + _written(more, shape.delimiter) + end)
    return shape.mark + out.getvalue().encode(shape.encoding, "replace")


def annotate_json(content: bytes, answers: Sequence[tuple[Row, Answer]]) -> bytes:
    """Return JSON with three more keys in each registration; as lines where it is lines."""
    if content.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")[:1] == b"[":
        return _list(json_file.records(content), answers)
    try:
        decoded = json_file.decode(content)
    except FileUnreadable:
        return annotate_lines(content, answers)
    by_number = _by_number(answers)
    return msgspec.json.format(msgspec.json.encode(_with(decoded, by_number.get(1))))


def annotate_kobo(content: bytes, answers: Sequence[tuple[Row, Answer]]) -> bytes:
    """Return the submissions of a KoboToolbox export as a list, with three more keys in each."""
    return _list(kobo.submissions(content), answers)


def annotate_lines(content: bytes, answers: Sequence[tuple[Row, Answer]]) -> bytes:
    """Return JSON on lines with three more keys in each; a broken line stays as it is."""
    by_number = _by_number(answers)
    lines = []
    for number, line in enumerate(io.BytesIO(content), start=1):
        told = by_number.get(number)
        try:
            item = json_file.decode(line) if line.strip() and told is not None else None
        except FileUnreadable:
            item = None
        made = line if item is None else msgspec.json.encode(_with(item, told)) + b"\n"
        lines.append(made)
    return b"".join(lines)


def language_of(titles: Sequence[str]) -> Language:
    """Say in which language a header is: by what it calls the household's own code."""
    return "en" if any(fold(title) in _ENGLISH for title in titles) else "es"


def _with(item: object, told: Note | None) -> object:
    if not isinstance(item, dict) or told is None:
        return item
    return item | dict(zip(TITLES["en"], msgspec.structs.astuple(told), strict=True))


def _list(items: Sequence[msgspec.Raw], answers: Sequence[tuple[Row, Answer]]) -> bytes:
    by_number = _by_number(answers)
    made = (
        msgspec.json.encode(_with(json_file.decode(item), by_number.get(place)))
        for place, item in enumerate(items, start=1)
    )
    return b"[\n" + b",\n".join(made) + b"\n]\n"


def _by_number(answers: Sequence[tuple[Row, Answer]]) -> dict[int, Note]:
    return {row.number: note(answer, row, "en") for row, answer in answers}


def _by_line(answers: Sequence[tuple[Row, Answer]], language: Language) -> dict[str | int, Note]:
    rows = [row for row, _ in answers]
    return {
        row.reference or row.number: note(answer, row, language, rows=rows)
        for row, answer in answers
    }


def _place(place: Place, rows: Sequence[Row], language: Language) -> str:
    if place.row > len(rows):
        return place.reference
    line = rows[place.row - 1].number
    return f"{'fila' if language == 'es' else 'row'} {line} {place.reference}".strip()


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """Give each record with the number of its first line and its text as it stands."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            taken.append(line)
            yield line

    begin = 0
    reader = csv.reader(lines(), delimiter=delimiter)
    for cells in reader:
        yield begin + 1, cells, "".join(taken)
        taken.clear()
        begin = reader.line_num


def _is_open(body: str, cells: Sequence[str], delimiter: str) -> bool:
    """Say whether a quote is never closed, so that what follows would be taken for a part of it."""
    lines = io.StringIO(f"{body}{delimiter}x", newline="").readlines()
    return next(csv.reader(iter(lines), delimiter=delimiter), []) != [*cells, "x"]


def _without_end(raw: str) -> tuple[str, str]:
    end = next((end for end in _ENDS if raw.endswith(end)), "")
    return raw.removesuffix(end), end


def _written(cells: Sequence[str], delimiter: str) -> str:
    # The end of a line that is named is what the writer puts in quotes inside a cell.
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n")


def _shape(content: bytes) -> tuple[_Shape, str]:
    """Find how a file is written, which was read before; and its text."""
    encoding, mark = _encoding(content)
    text = content.removeprefix(mark).decode(encoding)
    for delimiter in _DELIMITERS:
        for number, cells, _ in islice(_records(text, delimiter), HEADER_LINE_MAX):
            names = {column(cell) for cell in cells}
            if "codigo_hogar" in names and names & {"nombres", "primer_nombre"}:
                return _Shape(encoding, mark, delimiter, number, cells), text
    raise FileUnreadable(line=1, reason="header_missing")


def _encoding(content: bytes) -> tuple[str, bytes]:
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF8, "utf-8"),
    ):
        if content.startswith(mark):
            return encoding, mark
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252", b""
    return "utf-8", b""


def _harmless(text: str) -> str:
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text
