"""Refusals of grants, beside the others: what the caller can mend, as facts."""

from dataclasses import dataclass
from uuid import UUID

from cbi.refusal import CbiRefusal


@dataclass(kw_only=True, eq=False)
class AmendmentUnfit(CbiRefusal):
    """An amendment adds days or money to the version that counts, and takes nothing away."""

    grant_id: UUID


@dataclass(kw_only=True, eq=False)
class GrantUnnamed(CbiRefusal):
    """The programme draws on grants, so its money names one."""

    programme_id: UUID


@dataclass(kw_only=True, eq=False)
class GrantNotDrawn(CbiRefusal):
    """The programme doesn't draw on this grant on that day."""

    programme_id: UUID
    grant: str | None


@dataclass(kw_only=True, eq=False)
class GrantInOtherCurrency(CbiRefusal):
    """The grant is of another currency."""

    grant: str | None


@dataclass(kw_only=True, eq=False)
class OutsideGrantDays(CbiRefusal):
    """The day is outside those that the donor agreed to, or nothing is agreed yet."""

    grant: str | None


@dataclass(kw_only=True, eq=False)
class GrantSpent(CbiRefusal):
    """With this it would be more than the donor agreed to."""

    grant: str | None


@dataclass(kw_only=True, eq=False)
class RoundFunded(CbiRefusal):
    """The round has its money already: of which grant it is doesn't change any more."""

    round_id: UUID
