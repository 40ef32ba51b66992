"""A file of registrations on its way in: how it is staged, and where it stands."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from cbi import intake
from cbi.fault import Fault
from cbi.household import Registration
from cbi.intake import Format, Row
from dedup.model import Strength

PIECE_BYTES = 8 * 1024 * 1024
KEPT_DAYS = 30
# Of one household; who has more begins with these.
FAULTS_KEPT_MAX = 100
# How many rows somebody may name.
ROWS_TOLD_MAX = 50_000
_ROWS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)

State = Literal[
    "uploading", "staging", "review", "accepting", "done", "refused", "failed", "erased"
]
RowStatus = Literal["waiting", "faulty", "clear", "review"]
Take = Literal["all", "valid"]


class NewImport(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its sender declares it."""

    sha256: bytes
    bytes: int
    format: Format
    ubigeo_system: str
    accept_valid: bool


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was opened for upload."""

    import_id: UUID
    partner_id: UUID
    actor_id: UUID
    area: str
    file_digest: bytes
    attempt_no: int
    bytes: int
    format: Format
    ubigeo_system: str
    accept_valid: bool
    opened_at: datetime

    @property
    def pieces(self) -> int:
        return -(-self.bytes // PIECE_BYTES)

    def bytes_of(self, piece_no: int) -> int:
        """How long a piece must be: the last may be shorter."""
        return min(PIECE_BYTES, self.bytes - (piece_no - 1) * PIECE_BYTES)


class RowFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault with its place in the file, what to do about it, and the value, masked."""

    row: int
    column: str
    code: str
    level: str
    es: str
    en: str
    sheet: str = ""  # where several sheets of a workbook were read
    value: str = ""  # masked: cbi.intake.mask
    remedy_es: str = ""
    remedy_en: str = ""


class StagedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A household of the file as it was read: its registration as JSON, if no fault is an error."""

    line: int
    sheet: str
    content: bytes | None
    faults: tuple[RowFault, ...]
    taken_on: date | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How a row's household compares with everybody registered."""

    row_no: int
    status: Literal["clear", "review", "faulty"]
    matches: int = 0
    strength: Strength | None = None
    why: str | None = None
    persons: int = 0  # compared for it


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a row that was taken.

    `is_known` when the same was registered before, `is_changed` when it is now what the row says.
    """

    row_no: int
    status: Literal["clear", "review", "faulty"]
    household_id: UUID | None = None
    is_known: bool = False
    is_changed: bool = False
    refusal: str | None = None


class RowStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A row as its organisation sees it; nothing it says of anybody, values of faults masked."""

    row_no: int
    line: int
    sheet: str
    status: RowStatus
    faults: tuple[RowFault, ...]
    strength: Strength | None
    matches: int
    why: str | None
    household_id: UUID | None
    is_known: bool
    is_changed: bool
    refusal: str | None
    # The day on which the registration was taken; if that was before the file came, from when
    # until when it is provisional: it stands here, and was compared with nobody yet.
    taken_on: date | None = None
    provisional_from: datetime | None = None
    provisional_until: datetime | None = None
    is_provisional: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an import stands, in numbers; `received` are the pieces that are there.

    `known` and `changed` are told of rows that are not taken yet as well: registered just so, and
    registered with other content.
    """

    import_id: UUID
    state: State
    format: Format
    accept_valid: bool
    opened_at: datetime
    bytes: int
    piece_bytes: int
    pieces: int
    received: tuple[int, ...]
    job_id: UUID | None
    households: int
    waiting: int
    clear: int
    review: int
    faulty: int
    registered: int
    known: int
    changed: int
    provisional: int
    refused: int  # of the faulty, those that a rule refused when they were taken


class ImportEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An import in the list of its organisation's."""

    import_id: UUID
    state: State
    format: Format
    bytes: int
    opened_at: datetime
    job_id: UUID | None


def staged(
    content: bytes,
    *,
    format: Format,  # noqa: A002
    ubigeo_system: str,
    today: date,
) -> Iterator[StagedRow]:
    """Read a file household by household; raises FileUnreadable as `intake.rows` does."""
    encoder = msgspec.json.Encoder(order="deterministic")
    for row in intake.rows(content, format=format, ubigeo_system=ubigeo_system):
        read = intake.read(row, today=today)
        faults = tuple(located(each, row) for each in read.faults[:FAULTS_KEPT_MAX])
        content_ = None if read.registration is None else encoder.encode(read.registration)
        taken_on = None
        if read.registration is not None:
            taken_on = row.taken_on or read.registration.registered_on
        yield StagedRow(
            line=row.number, sheet=row.sheet, content=content_, faults=faults, taken_on=taken_on
        )


def values_of(faults: Sequence[RowFault]) -> tuple[str, ...]:
    """Return the masked values of faults, which are kept apart from them."""
    return tuple(each.value for each in faults)


def without_values(faults: Sequence[RowFault]) -> tuple[dict[str, object], ...]:
    """Return faults as they are kept in the clear."""
    return tuple(
        {name: told for name, told in msgspec.structs.asdict(each).items() if name != "value"}
        for each in faults
    )


def with_values(faults: Sequence[RowFault], values: Sequence[str]) -> tuple[RowFault, ...]:
    """Return faults with their masked values again."""
    return tuple(
        msgspec.structs.replace(each, value=value)
        for each, value in zip(faults, values, strict=True)
    )


def registration_of(content: bytes) -> Registration:
    """Return what `staged` made into JSON."""
    return msgspec.json.decode(content, type=Registration)


def located(fault: Fault, row: Row) -> RowFault:
    """Tell a fault with its place in the file."""
    place = intake.locate(fault, row)
    return RowFault(
        row=place.row,
        column=place.column,
        code=fault.code,
        level=fault.level,
        es=f"{place.es}: {fault.es}",
        en=f"{place.en}: {fault.en}",
        sheet=place.sheet,
        value=intake.value(fault, row),
        remedy_es=fault.remedy_es,
        remedy_en=fault.remedy_en,
    )


def numbers_of(text: str) -> list[int]:
    """Return the numbers that "3,7-12" means, each once; raises ValueError, also for too many."""
    found: set[int] = set()
    for part in text.split(","):
        match = _ROWS.fullmatch(part.strip())
        if match is None:
            raise ValueError(part)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last or last - first >= ROWS_TOLD_MAX:
            raise ValueError(part)
        found.update(range(first, last + 1))
        if len(found) > ROWS_TOLD_MAX:
            raise ValueError(part)
    return sorted(found)
