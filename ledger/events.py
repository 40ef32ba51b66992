"""What people do about breaks: take, note, propose, decline, settle. Each is kept for good."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.refusal import BreakRefused, SecondPersonNeeded
from ledger.violation import constraint_of

Ending = Literal["payment", "fee", "claim", "recovered", "write_off", "explained"]
What = Literal["gone", "again", "assigned", "noted", "proposed", "declined", "settled"]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a person, or a reconciliation, says about a break."""

    what: What
    note: str = ""
    owner_id: UUID | None = None
    ending: Ending | None = None
    payment_id: UUID | None = None
    attempt_no: int | None = None
    of_break: UUID | None = None


class Event(Said, frozen=True, kw_only=True):
    """What was said, by whom and when."""

    event_no: int
    actor_id: UUID
    at: datetime


_SAY = text("""
    INSERT INTO ledger.break_event (break_id, event_no, partner_id, what, owner_id, ending,
        payment_id, attempt_no, of_break, note, at, actor_id)
    SELECT :break_id, 1 + (SELECT coalesce(max(e.event_no), 0) FROM ledger.break_event e
            WHERE e.break_id = :break_id), :partner_id, :what, :owner_id, :ending, :payment_id,
        :attempt_no, :of_break, :note, :at, :actor_id""")

_EVENTS = text("""
    SELECT what, note, owner_id, ending, payment_id, attempt_no, of_break, event_no, actor_id, at
    FROM ledger.break_event WHERE break_id = :break_id ORDER BY event_no""")


async def say(
    conn: AsyncConnection,
    break_id: UUID,
    said: Said,
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> None:
    """Add what was said. Raises BreakRefused, and SecondPersonNeeded where one alone may not."""
    facts = msgspec.structs.asdict(said) | {"break_id": break_id, "partner_id": partner_id}
    try:
        async with conn.begin_nested():
            await conn.execute(_SAY, {**facts, "actor_id": actor_id, "at": at})
    except IntegrityError as error:
        constraint = constraint_of(error)
        if constraint == "break_four_eyes":
            raise SecondPersonNeeded(break_id=break_id) from error
        raise BreakRefused(break_id=break_id, constraint=constraint) from error


async def load_events(conn: AsyncConnection, break_id: UUID) -> list[Event]:
    """Return all that was said about a break, oldest first."""
    rows = (await conn.execute(_EVENTS, {"break_id": break_id})).mappings()
    return [msgspec.convert(dict(row), Event) for row in rows]


def proposed(events: list[Event]) -> Event | None:
    """Return the proposal that waits for a second person, or None."""
    turns = ("proposed", "declined", "settled", "gone")
    last = next((event for event in reversed(events) if event.what in turns), None)
    return last if last is not None and last.what == "proposed" else None
