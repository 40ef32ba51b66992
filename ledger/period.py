"""Periods: what the books of an organisation said when one was closed."""

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID, uuid5

import msgspec

from ledger.account import TrialRow

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a13")


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A closed period, up to and with `until`: its trial balance, and the digest that is sealed."""

    until: date
    trial: tuple[TrialRow, ...]
    sha256: str  # of `trial_bytes`, hexadecimal
    closed_at: datetime
    actor_id: UUID


class _Trial(msgspec.Struct, frozen=True, kw_only=True):
    until: date
    accounts: tuple[TrialRow, ...]


def trial_bytes(until: date, rows: Sequence[TrialRow]) -> bytes:
    """Write a trial balance so that the same sums are the same bytes: JSON, by code and currency.

    Accounts that nothing moved are left out: opening one changes no period.
    """
    moved = (row for row in rows if row.debit_minor or row.credit_minor)
    ordered = tuple(sorted(moved, key=lambda row: (row.code, row.currency)))
    return msgspec.json.encode(_Trial(until=until, accounts=ordered))


def trial_rows(trial: bytes) -> tuple[TrialRow, ...]:
    """Read what `trial_bytes` wrote."""
    return msgspec.json.decode(trial, type=_Trial).accounts


def digest_id(partner_id: UUID, until: date) -> UUID:
    """Derive the id under which the digest of a period is sealed."""
    return uuid5(NAMESPACE, f"{partner_id}|{until.isoformat()}")


def digest(trial: bytes) -> bytes:
    """Return what is sealed of a trial balance."""
    return sha256(trial).digest()
