"""Grants: what a donor agreed to give an organisation, and how an amendment changes that."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from ledger.money import Money

Kind = Literal["agreement", "no_cost_extension", "top_up"]
Amendment = Literal["no_cost_extension", "top_up"]


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """So much, from the first day to the last one, both included."""

    money: Money
    first_day: date
    last_day: date


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The agreement or an amendment, with all that it leaves; it counts when it is approved."""

    version: int
    kind: Kind
    agreed: Agreed
    entered_by: UUID
    entered_at: datetime
    approved_by: UUID | None
    approved_at: datetime | None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A grant of an organisation with its versions, oldest first."""

    grant_id: UUID
    code: str
    donor: str
    reference: str
    currency: str
    versions: tuple[Version, ...]

    @property
    def in_force(self) -> Version | None:
        """The version that counts: the newest approved."""
        return in_force(self.versions)


def in_force(versions: Iterable[Version]) -> Version | None:
    """Return the newest approved version."""
    approved = [each for each in versions if each.approved_by is not None]
    return max(approved, key=lambda each: each.version, default=None)


def adds(kind: Kind, before: Agreed | None, after: Agreed) -> bool:
    """Say whether a version of this kind only adds to the one that counts.

    The database says the same of what is approved (`grant_amendment_adds`).
    """
    if kind == "agreement" or before is None:
        return kind == "agreement" and before is None
    if after.first_day != before.first_day or after.money.currency != before.money.currency:
        return False
    old, new = before.money.amount_minor, after.money.amount_minor
    if kind == "no_cost_extension":
        return new == old and after.last_day > before.last_day
    return new > old and after.last_day >= before.last_day
