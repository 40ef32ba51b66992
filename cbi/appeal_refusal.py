"""Refusals of slips and appeals, as facts; `api/appeal_wording.py` words them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cbi.refusal import CbiRefusal


class SlipUnknown(CbiRefusal):
    """No slip in force has this token: unknown, replaced or too late, and which is not said."""


@dataclass(kw_only=True, eq=False)
class PrintsSpent(CbiRefusal):
    """The slip was printed as often as one may be."""

    slip_id: UUID


class SlipsSpent(CbiRefusal):
    """The organisation gave as many slips to people who are not registered as it may in a day."""


@dataclass(kw_only=True, eq=False)
class AppealTriesSpent(CbiRefusal):
    """The organisation may not try more tokens today."""

    tries_per_day: int
    opens_again_at: datetime


@dataclass(kw_only=True, eq=False)
class AppealDecided(CbiRefusal):
    """The appeal has its outcome, for good."""

    appeal_id: UUID


@dataclass(kw_only=True, eq=False)
class ReviewerTookPart(CbiRefusal):
    """The organisation or the person refused, or judged the case beneath: others review."""

    appeal_id: UUID


@dataclass(kw_only=True, eq=False)
class NotTheReviewer(CbiRefusal):
    """Another organisation or person was asked to review the appeal, or nobody yet."""

    appeal_id: UUID


@dataclass(kw_only=True, eq=False)
class NothingToActOn(CbiRefusal):
    """The appeal asks nothing of the organisation that refused, or it was done before."""

    appeal_id: UUID


@dataclass(kw_only=True, eq=False)
class StatementErased(CbiRefusal):
    """The key of what the person said was destroyed."""

    appeal_id: UUID
