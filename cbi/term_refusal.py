"""Refusals of a programme's terms, beside the others: what the caller can mend, as facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from cbi.refusal import CbiRefusal


@dataclass(kw_only=True, eq=False)
class InvalidTerm(CbiRefusal):
    """What is to become a term can't be one; `path` is the place of the fault."""

    path: Sequence[str | int]
    reason: str


@dataclass(kw_only=True, eq=False)
class TermApproved(CbiRefusal):
    """The term was approved before."""

    kind: str
    version: int


@dataclass(kw_only=True, eq=False)
class ApprovedByAuthor(CbiRefusal):
    """Entering a term and approving it take two people."""

    kind: str
    version: int


@dataclass(kw_only=True, eq=False)
class OutsideProgramme(CbiRefusal):
    """The household lives outside the areas of the programme."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class MonthsOutside(CbiRefusal):
    """The round pays months outside those of its programme."""

    programme_id: UUID
    first_month: date
    end_month: date


@dataclass(kw_only=True, eq=False)
class InstalmentsUneven(CbiRefusal):
    """The round's months are not a whole number of instalments."""

    programme_id: UUID


@dataclass(kw_only=True, eq=False)
class TermsJustChanged(CbiRefusal):
    """Somebody approved a term, or began the calculation, at this moment: the same again."""

    round_id: UUID
