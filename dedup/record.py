"""A person as matching sees one: what was registered, opened, and nothing else."""

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

Precision = Literal["day", "month", "year", "age"]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One identity document as it was shown; `type` is a code of DOMAIN.md, such as `ve-cedula`."""

    type: str
    number: str
    country: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One person of one registration, as written by the clerk.

    `sex` is "F", "M", "O" or "" when not stated; `ubigeo` is INEI's district code as text.
    A birth date known only by year, or by age, stands on some day of that year and says so.
    `stands_for` is the person of the same household that this record told of before an error was
    mended: the two are one.
    """

    person_id: UUID
    household_id: UUID
    given: tuple[str, ...] = ()
    surnames: tuple[str, ...] = ()
    birth_date: date | None = None
    birth_precision: Precision = "day"
    sex: str = ""
    documents: tuple[Document, ...] = ()
    phones: tuple[str, ...] = ()
    ubigeo: str = ""
    stands_for: UUID | None = None

    @property
    def who(self) -> UUID:
        """The person that the record is of."""
        return self.stands_for or self.person_id
