"""The households of a file to check, one after another, without what a check does not need."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from uuid import UUID

import msgspec

from cbi import asked, household, intake
from cbi.asked import ReadAsked, declines
from cbi.intake import Format
from cbi.intake.source import Row
from dedup.record import Record


class AskedRow(msgspec.Struct, frozen=True):
    """A household of a file: where it stands, and what was read of it."""

    row: Row
    read: ReadAsked


PIECE = msgspec.json.Decoder(list[AskedRow])


def asked_rows(
    content: bytes,
    *,
    format: Format,  # noqa: A002
    ubigeo_system: str | None,
    today: date,
) -> Iterator[AskedRow]:
    """The households of a file, as intake.rows finds them. Raises FileUnreadable as it does."""
    for row in intake.rows(content, format=format, ubigeo_system=ubigeo_system):
        read = asked.of_file(row, today=today)
        yield AskedRow(_slim(row, read), read)


def records(
    read: ReadAsked, *, household_id: UUID, person_ids: Sequence[UUID], on: date
) -> tuple[Record, ...]:
    """Who of a household is searched for: nobody of one that is faulty or declines."""
    if read.asked is None or declines(read.asked, on):
        return ()
    found = household.records_of(
        read.asked.persons,
        household_id=household_id,
        person_ids=person_ids,
        ubigeo=read.asked.ubigeo,
    )
    return tuple(found)


def in_list(read: ReadAsked, *, row: int, on: date) -> tuple[Record, ...]:
    """Who of a file's household is searched for in the file itself, under ids of no meaning."""
    count = 0 if read.asked is None else len(read.asked.persons)
    ids = [UUID(int=place) for place in range(count)]
    return records(read, household_id=UUID(int=row), person_ids=ids, on=on)


def _slim(row: Row, read: ReadAsked) -> Row:
    """The row with the origin of its faults only, and of what holds them."""
    paths = {""}
    for fault in read.faults:
        path = fault.path
        while path and path not in paths:
            paths.add(path)
            path = re.sub(r"(^|\.)[^.\[\]]*$|\[[0-9]+\]$", "", path)
    origin = {path: row.origin[path] for path in sorted(paths & row.origin.keys())}
    return msgspec.structs.replace(row, raw=None, faults=(), origin=origin)
