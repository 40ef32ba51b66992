"""Breaks of a programme: what they book until somebody settles them."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings
from ledger import post
from ledger.matching import Break, BreakKind
from ledger.money import Money
from ledger.transfer import Transfer, reversal, transfer_id

# The line that a break is about, if it moved money on our account; the programme is the payment's,
# or one that pays from that account. (OFFSET 0: by its key, and not by reading all of a year.)
_ABOUT = text("""
    SELECT b.break_id, b.kind, l.line_id, l.direction, l.amount_minor, l.currency,
        coalesce(l.booked_on, b.opened_on) AS booked_on,
        coalesce(r.programme_id, a.programme_id) AS programme_id
    FROM ledger.break b JOIN ledger.statement_line l ON l.line_id = b.line_id
    JOIN ledger.statement s ON s.statement_id = l.statement_id
    LEFT JOIN LATERAL (SELECT r.programme_id FROM cbi.entitlement e
        JOIN cbi.round r ON r.round_id = e.round_id
        WHERE e.entitlement_id = b.payment_id OFFSET 0) AS r ON true
    LEFT JOIN (SELECT p.token, p.partner_id,
            CAST(min(CAST(p.programme_id AS text)) AS uuid) AS programme_id
        FROM cbi.payer_account p GROUP BY p.token, p.partner_id) AS a
        ON b.payment_id IS NULL AND a.token = s.account_token AND a.partner_id = b.partner_id
    WHERE b.break_id = ANY(:break_ids) AND l.amount_minor > 0
        AND l.source IN ('camt.053', 'mt940', 'statement-table')
        AND coalesce(r.programme_id, a.programme_id) IS NOT NULL
    ORDER BY b.break_id""")

_OPEN = text("""
    SELECT b.break_id FROM ledger.break_standing b
    WHERE b.partner_id = :partner_id AND NOT b.is_over AND b.line_id IS NOT NULL
    ORDER BY b.break_id""")

_BOOKED = text("""
    SELECT transfer_id FROM ledger.transfer WHERE transfer_id = ANY(:transfer_ids)""")

# Constraints keep instruction and entitlement together; should they ever part, it shows.
_OF_INSTRUCTION = text("""
    SELECT a.payment_id, a.attempt_no, a.end_to_end_id, a.amount_minor, a.currency,
        e.amount_minor AS entitled_minor
    FROM ledger.attempt a LEFT JOIN cbi.entitlement e ON e.entitlement_id = a.payment_id
    WHERE a.partner_id = :partner_id AND (e.entitlement_id IS NULL OR e.cancelled_at IS NOT NULL
        OR (e.amount_minor, e.currency) <> (a.amount_minor, a.currency))
    ORDER BY a.payment_id, a.attempt_no""")


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A break with the line it is about and the programme whose money that was."""

    break_id: UUID
    kind: BreakKind
    programme_id: UUID
    line_id: UUID
    direction: bookings.Direction
    money: Money
    booked_on: date
    turn: int = 0  # which time this line is booked as unexplained

    def booking(self) -> Transfer | None:
        """What stands in the books for it while it is open; None where nothing does."""
        return bookings.unexplained(
            self.programme_id,
            self.kind,
            self.money,
            self.direction,
            line_id=self.line_id,
            on=self.booked_on,
            turn=self.turn,
        )

    def reversed(self) -> Transfer | None:
        """Take that back: it is explained."""
        original = self.booking()
        if original is None:
            return None
        entry = transfer_id("explained", original.transfer_id)
        return reversal(original, entry_id=entry, effective_on=self.booked_on)


async def of_instruction(conn: AsyncConnection, *, partner_id: UUID) -> list[Break]:
    """Return the attempts that are not what the family is entitled to."""
    rows = await conn.execute(_OF_INSTRUCTION, {"partner_id": partner_id})
    return [
        Break(
            kind="entitlement_and_instruction_disagree",
            payment_id=row.payment_id,
            attempt_no=row.attempt_no,
            end_to_end_id=row.end_to_end_id,
            expected_minor=row.entitled_minor,
            actual_minor=row.amount_minor,
            currency=row.currency,
        )
        for row in rows
    ]


async def load_about(conn: AsyncConnection, break_ids: Sequence[UUID]) -> list[About]:
    """Load what breaks are about; those that moved nothing on our account are left out."""
    found = []
    for row in (await conn.execute(_ABOUT, {"break_ids": list(break_ids)})).mappings():
        facts = dict(row)
        money = Money(amount_minor=facts.pop("amount_minor"), currency=facts.pop("currency"))
        found.append(msgspec.convert({**facts, "money": money}, About))
    return await _at_their_turn(conn, found)


async def _at_their_turn(conn: AsyncConnection, found: Sequence[About]) -> list[About]:
    """Find the turn of what stands in the books for each line, or else the one that is next.

    Another break may have been about the same line before, and ended.
    """
    done: list[About] = []
    left, turn = list(found), 0
    while left:
        asked = [msgspec.structs.replace(each, turn=turn) for each in left]
        both = [_ids(each) for each in asked]
        facts = {"transfer_ids": [one for ids in both for one in ids]}
        known = set((await conn.execute(_BOOKED, facts)).scalars())
        left = []
        for each, ids in zip(asked, both, strict=True):
            (left if ids and known.issuperset(ids) else done).append(each)
        turn += 1
    return sorted(done, key=lambda each: each.break_id)


def _ids(about: About) -> list[UUID]:
    """Return the ids of what it books and of what takes that back."""
    return [one.transfer_id for one in (about.booking(), about.reversed()) if one is not None]


async def book(
    conn: AsyncConnection,
    *,
    gone: Sequence[UUID],
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> None:
    """Book what open breaks are about, and take back what those that are gone had booked."""
    is_open = list((await conn.execute(_OPEN, {"partner_id": partner_id})).scalars())
    bookings_of = [each.booking() for each in await load_about(conn, is_open)]
    wanted = {each.transfer_id: each for each in bookings_of if each is not None}
    explained = [each.reversed() for each in await load_about(conn, gone)]
    originals = [each.reverses for each in explained if each is not None]
    stands = set((await conn.execute(_BOOKED, {"transfer_ids": originals})).scalars())
    # What another break is about now stays booked.
    wanted |= {
        each.transfer_id: each
        for each in explained
        if each is not None and each.reverses in stands and each.reverses not in wanted
    }
    made = list(wanted.values())
    accounts = {
        account.account_id: account for each in made for account in (each.debit, each.credit)
    }
    await post.open_accounts(conn, list(accounts.values()), partner_id=partner_id)
    for start in range(0, len(made), post.TRANSFERS_MAX):
        await post.post(
            conn,
            made[start : start + post.TRANSFERS_MAX],
            partner_id=partner_id,
            at=at,
            actor_id=actor_id,
        )
