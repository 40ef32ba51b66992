"""Labelled data as anyone keeps it: records and their truth, in CSV or Parquet.

What is unclear in a row is left missing and counted, for a file from outside is never perfect.
What would shift every number (a repeated id, cells out of line) refuses the whole file.
"""

import csv
import importlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import lru_cache, partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TextIO
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dedup.batch.columns import stable_hash
from dedup.cell import read_born, read_sex, read_type, read_ubigeo
from dedup.record import Document, Record

COLUMNS = (
    *("record_id", "registration_id", "partner"),
    *("given1", "given2", "surname1", "surname2", "birth_date", "sex"),
    *("doc1_type", "doc1", "doc2_type", "doc2", "phone", "ubigeo"),
)
# Part of the format, and of no use to matching.
_EXPECTED = frozenset((*COLUMNS, "nationality"))
TRUTH_COLUMNS = ("record_id", "person_id")
# What persons are told apart by: a table with none of these was read wrongly.
_TELLING = frozenset(
    ("given1", "given2", "surname1", "surname2", "birth_date", "doc1", "doc2", "phone")
)
ROWS_MAX = 20_000_000
COLUMNS_MAX = 300
CELL_LENGTH_MAX = 1_000
LINE_LENGTH_MAX = 100_000
BATCH_ROWS = 4_096
# So many rows are made by one process, then so many by the next.
BLOCK_ROWS = 2_000
_SEPARATORS = (",", ";", "\t")


class TableUnreadable(Exception):
    """A table can't be read at all: why, and the rows at fault, counted from 1 below the header."""

    def __init__(
        self, path: Path, reason: str, *, rows: Sequence[int] = (), what: str = ""
    ) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.rows = tuple(rows)
        self.what = what

    def __reduce__(self) -> tuple[object, ...]:
        """Let it pass from one process to another."""
        return partial(TableUnreadable, rows=self.rows, what=self.what), (self.path, self.reason)


class Row(NamedTuple):
    """One record of a table. Its person_id is the row's number, household_id the registration's."""

    record_id: str
    registration_id: str | None
    partner: str
    record: Record


class Truth(NamedTuple):
    """Who each row is: `person` has one number per row, in row order.

    `unlabelled` rows are persons of their own; `unknown` labels name no row of the table.
    """

    person: NDArray[np.int32]
    unlabelled: int
    unknown: int


class Records:
    """The rows of a table, streamed; `warned` and `digests` are whole once all were read.

    `digests` holds 64 bits of each record's id, in row order: enough to join the truth by, in a
    tenth of the memory of the ids themselves. `warned` counts by column what was left missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warned: Counter[str] = Counter()
        self.digests = array("q")

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in order. Raises TableUnreadable, for a repeated id after the last row."""
        self.warned.clear()
        del self.digests[:]
        for _, row in self.part(0, 1):
            self.digests.append(digest(row.record_id))
            yield row
        self.refuse_repeated()

    def part(self, worker: int, workers: int) -> Iterator[tuple[int, Row]]:
        """Yield a worker's share of the rows, every so many-th block of them, numbered from 0.

        Every worker reads the whole file, for a row may span lines, and makes only its own rows.
        """
        make = _maker(self.warned)
        for number, cells in enumerate(_rows(self.path, COLUMNS, _TELLING)):
            if number // BLOCK_ROWS % workers == worker:
                yield number, make(number + 1, cells)

    def refuse_repeated(self) -> None:
        """Raise TableUnreadable if a record's id occurs twice in `digests`."""
        _refuse_repeated(self.path, np.array(self.digests, np.int64))


def read_records(path: Path) -> Records:
    """Read records from a CSV (UTF-8; comma, semicolon or tab) or Parquet file, row by row.

    Any column of COLUMNS may be missing or empty, others are ignored. A row without record_id is
    called by its number.
    """
    return Records(path)


def unused_columns(path: Path) -> tuple[str, ...]:
    """Return the titles of a table of records that nothing is read from: misspelt, perhaps."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        titles = importlib.import_module("pyarrow.parquet").read_schema(path).names
    else:
        with closing(_csv(path)) as source:
            titles = next(source, [])
    return tuple(
        title.strip() for title in titles if title.strip() and _name(title) not in _EXPECTED
    )


def read_truth(path: Path, records: Records) -> Truth:
    """Read `record_id, person_id` and join it to records that were read to their end.

    Raises TableUnreadable, also where one record is said to be two persons.
    """
    record, person = array("q"), array("q")
    for record_id, person_id in _rows(path, TRUTH_COLUMNS, frozenset(TRUTH_COLUMNS), every=True):
        # A row that says nothing keeps its place, so that rows are told by their number.
        both = record_id and person_id
        record.append(digest(record_id) if both else 0)
        person.append(digest(person_id) if both else 0)
    labels = _one_label_each(path, np.array(record, np.int64), np.array(person, np.int64))
    return _join(np.array(records.digests, np.int64), *labels)


def digest(text: str) -> int:
    """Return 64 signed bits of an id, the same in every process; 0 for none."""
    return stable_hash(text) - (1 << 63) if text else 0


def _one_label_each(
    path: Path, record: NDArray[np.int64], person: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(record, kind="stable")
    record, person = record[order], person[order]
    again = np.diff(record, prepend=record[:1] + 1) == 0
    clash = np.flatnonzero(again & (person != np.roll(person, 1)))
    if len(clash):
        rows = sorted(int(row) + 1 for row in order[clash[0] - 1 : clash[0] + 1])
        raise TableUnreadable(path, "two_persons", rows=rows)
    first = ~again & (record != 0)
    return record[first], person[first]


def _join(
    digests: NDArray[np.int64], record: NDArray[np.int64], person: NDArray[np.int64]
) -> Truth:
    """Number the persons of the rows; the labels come sorted by record, one for each."""
    _, number = np.unique(person, return_inverse=True)
    at = np.searchsorted(record, digests)
    known = np.zeros(len(digests), bool)
    inside = at < len(record)
    known[inside] = record[at[inside]] == digests[inside]
    joined = np.arange(len(record), len(record) + len(digests), dtype=np.int32)
    joined[known] = number[at[known]]
    labelled = int(known.sum())
    return Truth(joined, len(digests) - labelled, len(record) - labelled)


def _refuse_repeated(path: Path, digests: NDArray[np.int64]) -> None:
    # Two ids with one digest would be refused wrongly: less than once in a million files of a
    # million rows.
    order = np.argsort(digests, kind="stable")
    ordered = digests[order]
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        first = order[ordered == repeated[0]] + 1
        raise TableUnreadable(path, "id_repeated", rows=[int(row) for row in first])


def _maker(warned: Counter[str]) -> Callable[[int, Sequence[str]], Row]:
    """Return what turns a row's cells into a Row."""

    def make(number: int, cells: Sequence[str]) -> Row:
        record_id, registration, partner, given1, given2, surname1, surname2 = cells[:7]
        born, sex, type1, number1, type2, number2, phone, ubigeo = cells[7:]
        person_id = UUID(int=number)
        birth_date, precision, clear = read_born(born)
        if not clear:
            warned["birth_date"] += 1
        said, clear = read_sex(sex)
        if not clear:
            warned["sex"] += 1
        documents = (_document(type1, number1, warned),) if number1 else ()
        if number2:
            documents = (*documents, _document(type2, number2, warned))
        record = Record(
            person_id=person_id,
            household_id=_household_id(partner, registration) if registration else person_id,
            given=(given1, given2) if given2 else (given1,) if given1 else (),
            surnames=(surname1, surname2) if surname2 else (surname1,) if surname1 else (),
            birth_date=birth_date,
            birth_precision=precision,
            sex=said,
            documents=documents,
            phones=(phone,) if phone else (),
            ubigeo=read_ubigeo(ubigeo),
        )
        return Row(record_id or str(number), registration or None, partner, record)

    return make


@lru_cache(maxsize=1_024)
def _household_id(partner: str, registration: str) -> UUID:
    # By partner and registration, for two partners may both have a registration "1"; above the
    # numbers of rows, for a row without registration is a household by itself.
    return UUID(int=1 << 64 | stable_hash(f"{partner}\0{registration}"))


def _document(kind: str, number: str, warned: Counter[str]) -> Document:
    code = read_type(kind)
    if code == "":
        warned["doc_type"] += 1
    return Document(type=code or "other", number=number)


def _rows(
    path: Path, columns: Sequence[str], needed: frozenset[str], *, every: bool = False
) -> Iterator[Sequence[str]]:
    """Yield each row's cells in the order of `columns`, stripped, "" where there is none.

    One of the `needed` columns must be there, or every one. Blank rows are left out.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        raise TableUnreadable(path, "workbook")
    with closing(_parquet(path, columns) if start == b"PAR1" else _csv(path)) as source:
        names = _names(path, next(source, []), columns)
        known = needed & set(names)
        if not known or (every and known != needed):
            raise TableUnreadable(path, "header_missing", what=", ".join(columns))
        width = len(names)
        pick = itemgetter(*(names.index(name) if name in names else width for name in columns))
        for number, row in enumerate(source, start=1):
            if len(row) > width and any(map(str.strip, row[width:])):
                raise TableUnreadable(path, "too_many_cells", rows=[number])
            del row[width:]
            row.extend([""] * (width + 1 - len(row)))
            cells = pick(row)
            # The sum first, because it costs a quarter and nearly always suffices.
            if len("".join(cells)) > CELL_LENGTH_MAX and max(map(len, cells)) > CELL_LENGTH_MAX:
                raise TableUnreadable(path, "cell_too_long", rows=[number])
            if number > ROWS_MAX:
                raise TableUnreadable(path, "too_many_rows")
            yield tuple(map(str.strip, cells))


def _names(path: Path, titles: Sequence[str], columns: Sequence[str]) -> list[str]:
    if len(titles) > COLUMNS_MAX:
        raise TableUnreadable(path, "too_many_columns")
    names = list(map(_name, titles))
    repeated = [name for name, count in Counter(names).items() if count > 1 and name in columns]
    if repeated:
        raise TableUnreadable(path, "column_repeated", what=repeated[0])
    return names


def _name(title: str) -> str:
    return re.sub(r"[\s_-]+", "_", title.strip().casefold())


def _csv(path: Path) -> Generator[list[str]]:
    """Yield the header, then the rows that hold something."""
    number = -1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _lines(file)
            first = next((line for line in lines if line.strip()), "")
            separator = max(_SEPARATORS, key=first.count)
            for row in csv.reader(chain((first,), lines), delimiter=separator):
                if row and any(row):
                    number += 1
                    yield row
    except UnicodeDecodeError as error:
        raise TableUnreadable(path, "not_utf8") from error
    except csv.Error as error:
        raise TableUnreadable(path, "csv_syntax", rows=[number + 1]) from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LINE_LENGTH_MAX):
        # Without an end of line the file is no table, or would fill the memory.
        if len(line) == LINE_LENGTH_MAX and line[-1] not in "\r\n":
            raise csv.Error("line too long")
        yield line


def _parquet(path: Path, columns: Sequence[str]) -> Generator[list[str]]:
    """Yield the header of the columns that are wanted, then the rows that hold something."""
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise TableUnreadable(path, "parquet_missing") from error
    try:
        with parquet.ParquetFile(path) as file:
            titles = file.schema_arrow.names
            names = _names(path, titles, columns)
            wanted = [title for title, name in zip(titles, names, strict=True) if name in columns]
            yield wanted
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
                texts = [column.cast(arrow.string()).to_pylist() for column in batch.columns]
                for row in zip(*texts, strict=True):
                    if any(row):
                        yield [text or "" for text in row]
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise TableUnreadable(path, "parquet_syntax") from error
