"""Refusals of overlap rules, reservations, waiting and conflicts, as facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from cbi.fault import Fault
from cbi.refusal import CbiRefusal


@dataclass(kw_only=True, eq=False)
class InvalidRules(CbiRefusal):
    """The document of rules has faults; each comes with its path."""

    faults: Sequence[Fault]


@dataclass(kw_only=True, eq=False)
class RulesApproved(CbiRefusal):
    """The organisation, or the person, has approved these rules already."""

    version: int


@dataclass(kw_only=True, eq=False)
class OwnProposal(CbiRefusal):
    """Whoever proposed rules doesn't approve them."""

    version: int


@dataclass(kw_only=True, eq=False)
class RulesNotProposed(CbiRefusal):
    """Only coordination tries rules that nobody has proposed; anybody else names a version."""


@dataclass(kw_only=True, eq=False)
class SimulationQuotaSpent(CbiRefusal):
    """The organisation tries no more rules today."""

    simulations_per_day: int
    opens_again_at: datetime


@dataclass(kw_only=True, eq=False)
class Overlap(CbiRefusal):
    """The family has assistance that keeps this away; by whom is not said.

    `until` is the first day on which what keeps it away now has ended, None if that isn't known.
    """

    household_id: UUID
    assistance: str
    until: date | None
    ask: str


@dataclass(kw_only=True, eq=False)
class NotHeld(CbiRefusal):
    """Nothing keeps this assistance from the family: there is nothing to wait for."""

    household_id: UUID
    assistance: str


@dataclass(kw_only=True, eq=False)
class ReservationQuotaSpent(CbiRefusal):
    """The organisation has as many open reservations, or waiting entries, as it may."""

    open_max: int


@dataclass(kw_only=True, eq=False)
class ReservationPaused(CbiRefusal):
    """The organisation's last reservation for this family came to nothing not long ago."""

    household_id: UUID
    until: datetime


@dataclass(kw_only=True, eq=False)
class ReservationOver(CbiRefusal):
    """The reservation has expired, was cancelled, or became an enrolment."""

    reservation_id: UUID


@dataclass(kw_only=True, eq=False)
class RenewalsSpent(CbiRefusal):
    """The reservation was renewed as often as it may be."""

    reservation_id: UUID
    renewals_max: int


@dataclass(kw_only=True, eq=False)
class ConflictOver(CbiRefusal):
    """The conflict has ended by itself."""

    conflict_id: UUID


@dataclass(kw_only=True, eq=False)
class ConflictUnendable(CbiRefusal):
    """The decision would give back months that somebody was promised meanwhile."""

    conflict_id: UUID


@dataclass(kw_only=True, eq=False)
class ConflictOfOthers(CbiRefusal):
    """Whoever decides the conflict must be of an organisation that has neither promise."""

    conflict_id: UUID


@dataclass(kw_only=True, eq=False)
class ConflictTwoPeople(CbiRefusal):
    """A decision is confirmed by another person, of another organisation than decided."""

    conflict_id: UUID


@dataclass(kw_only=True, eq=False)
class ConflictDecidedAnew(CbiRefusal):
    """A later decision has taken the place of the one to be confirmed."""

    conflict_id: UUID
