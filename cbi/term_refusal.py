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


@dataclass(kw_only=True, eq=False)
class NotEligible(CbiRefusal):
    """The programme's rules say no; each condition that is not met is told."""

    household_id: UUID
    rules_version: int
    reasons: Sequence[object]


@dataclass(kw_only=True, eq=False)
class EligibilityUnknown(CbiRefusal):
    """Facts are missing that the rules ask for: a person decides, and another one enrols."""

    household_id: UUID
    rules_version: int
    reasons: Sequence[object]


@dataclass(kw_only=True, eq=False)
class OverrideUnfit(CbiRefusal):
    """Only an unknown is for a person to decide; `verdict` is what the rules say."""

    household_id: UUID
    verdict: str


@dataclass(kw_only=True, eq=False)
class OverrideStands(CbiRefusal):
    """Somebody has decided this unknown already."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class OverriddenByEnroller(CbiRefusal):
    """Who decided what the rules don't know does not enrol the household."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class NoRules(CbiRefusal):
    """The programme has no rules of eligibility that count today."""

    programme_id: UUID


@dataclass(kw_only=True, eq=False)
class NoUit(CbiRefusal):
    """The cap is in UIT, and no value of a UIT is known for its first day."""

    on: date
