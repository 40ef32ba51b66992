"""What overlap refused, kept for some months without saying of whom.

A refusal undoes its transaction, so an attempt is remembered beside it and written afterwards, as
openings of identities are (`api/db.py`).
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.overlap import Span
from cbi.simulation_tables import refused_attempt

_REMEMBERED = "attempts"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that was refused: of whom is a keyed hash."""

    household_key: bytes
    assistance: str
    months: Span
    rules_version: int
    at: datetime


@dataclass(kw_only=True, slots=True)
class Remembered:
    """What a transaction was refused, and the key that hides of whom."""

    key: bytes
    attempts: list[Attempt] = field(default_factory=list)


def key_of(matching_key: bytes) -> bytes:
    """Derive the key that attempts are hidden with; it opens nothing else."""
    return hmac.digest(matching_key, b"cbi refused attempts", "sha256")


def begin(conn: AsyncConnection, key: bytes | None) -> Remembered | None:
    """Let a transaction remember what it is refused; without a key it doesn't."""
    remembered = None if key is None else Remembered(key=key)
    conn.info[_REMEMBERED] = remembered
    return remembered


def remember(
    conn: AsyncConnection,
    household_id: UUID,
    *,
    assistance: str,
    months: Span,
    rules_version: int,
    at: datetime,
) -> None:
    """Remember a refused promise, if the transaction does."""
    remembered: Remembered | None = conn.info.get(_REMEMBERED)
    if remembered is None:
        return
    remembered.attempts.append(
        Attempt(
            # As the door computes it.
            household_key=sha256(remembered.key + household_id.bytes).digest(),
            assistance=assistance,
            months=months,
            rules_version=rules_version,
            at=at,
        )
    )


async def write(conn: AsyncConnection) -> None:
    """Write what this transaction remembers, after a savepoint took it back with all the rest."""
    remembered: Remembered | None = conn.info.get(_REMEMBERED)
    await write_all(conn, remembered)


async def write_all(conn: AsyncConnection, remembered: Remembered | None) -> None:
    """Write what a transaction remembered; the same on one day is written once."""
    for attempt in remembered.attempts if remembered else ():
        facts = msgspec.structs.asdict(attempt)
        months: Span = facts.pop("months")
        await conn.execute(
            text(
                "INSERT INTO cbi.refused_attempt"
                " (household_key, assistance, months, rules_version, at)"
                " VALUES (:household_key, :assistance, daterange(:first, :after), :rules_version,"
                " :at) ON CONFLICT DO NOTHING"
            ),
            {**facts, "first": months.first, "after": months.end},
        )


async def drop(conn: AsyncConnection, *, before: datetime) -> int:
    """Drop what is older, as the worker; return how many there were."""
    return (
        await conn.execute(delete(refused_attempt).where(refused_attempt.c.at < before))
    ).rowcount
