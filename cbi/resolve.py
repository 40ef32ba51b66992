"""Resolve a break: one person proposes how it ends, another confirms, and it is booked.

What it had booked while it was open (suspense, or a claim on the provider) is reversed, and what it
turned out to be is booked in its place, in the same transaction.
"""

from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import bookings
from cbi.differences import About, load_about
from cbi.refusal import EndingUnfit, NotFound
from cbi.who import Who
from ledger import breaks, post, reconcile
from ledger.attempt import AttemptState, Giveback, Outcome
from ledger.attempts import record_outcomes, record_returns
from ledger.breaks import Kept
from ledger.events import Event, Said, load_events, proposed, say
from ledger.matching import Allocation, OpenAttempt, StoredLine, allocate, claim_of
from ledger.money import Money
from ledger.refusal import BreakRefused
from ledger.standing import load_states
from ledger.transfer import Transfer

PERSON = "person/1"
_LINE = text(f"""
    SELECT {reconcile.LINE}, {reconcile.NTH}, CAST('{PERSON}' AS text) AS rule
    FROM ledger.statement_line l WHERE l.line_id = :line_id""")  # noqa: S608 - our own columns
_HOME = text("""
    SELECT r.round_id, r.programme_id FROM cbi.entitlement e JOIN cbi.round r USING (round_id)
    WHERE e.entitlement_id = :payment_id""")
_UNMATCH = text("""
    INSERT INTO ledger.unmatching (line_id, nth, partner_id, because, unmatched_at, actor_id)
    SELECT c.line_id, c.nth, :partner_id, :because, :at, :actor_id
    FROM ledger.allocation_in_force c WHERE c.line_id = :line_id LIMIT 1 RETURNING nth""")


async def load_one(conn: AsyncConnection, break_id: UUID) -> tuple[Kept, list[Event]]:
    """Load a break with its history. Raises NotFound."""
    found = await breaks.load(conn, wanted=[break_id])
    if not found:
        raise NotFound(what="break", wanted=break_id)
    return found[0], await load_events(conn, break_id)


async def remark(conn: AsyncConnection, break_id: UUID, said: Said, who: Who) -> None:
    """Note, assign or decline. Raises NotFound, BreakRefused."""
    _, events = await load_one(conn, break_id)
    if said.what == "declined" and proposed(events) is None:
        raise BreakRefused(break_id=break_id, constraint="break_settled_as_proposed")
    await say(conn, break_id, said, **msgspec.structs.asdict(who))


async def propose(
    conn: AsyncConnection, break_id: UUID, said: Said, who: Who, *, write_off_max_minor: int
) -> None:
    """Propose how a break ends; nothing is booked before another person confirms it.

    Raises EndingUnfit for what could not be booked, NotFound, BreakRefused.
    """
    kept, _ = await load_one(conn, break_id)
    await _endings(conn, kept, said, write_off_max_minor=write_off_max_minor)
    await say(conn, break_id, said, **msgspec.structs.asdict(who))


async def confirm(
    conn: AsyncConnection, break_id: UUID, who: Who, *, write_off_max_minor: int
) -> Kept:
    """Settle a break as it was proposed, and book it. Raises SecondPersonNeeded and as propose."""
    kept, events = await load_one(conn, break_id)
    wanted = proposed(events)
    if wanted is None:
        raise BreakRefused(break_id=break_id, constraint="break_settled_as_proposed")
    said = Said(
        what="settled",
        ending=wanted.ending,
        payment_id=wanted.payment_id,
        attempt_no=wanted.attempt_no,
        of_break=wanted.of_break,
    )
    await say(conn, break_id, said, **msgspec.structs.asdict(who))
    ends = await _endings(conn, kept, said, write_off_max_minor=write_off_max_minor)
    await _carry_out(conn, ends, who)
    return (await load_one(conn, break_id))[0]


async def explain(conn: AsyncConnection, break_id: UUID, note: str, who: Who) -> None:
    """Settle a break that moved nothing, with a reason. Raises EndingUnfit where one did."""
    await load_one(conn, break_id)
    for about in await load_about(conn, [break_id]):
        if about.booking() is not None:
            raise EndingUnfit(break_id=break_id, reason="it-moved-money")
    said = Said(what="settled", ending="explained", note=note)
    await say(conn, break_id, said, **msgspec.structs.asdict(who))


async def unmatch(conn: AsyncConnection, line_id: UUID, because: str, who: Who) -> int:
    """Take back all that a line was matched to; it is not matched to the same by itself again.

    Returns which match of the line that was. Raises NotFound. What was booked stands: a delivered
    payment without proof is a break of the next reconciliation.
    """
    facts = {"line_id": line_id, "because": because, **msgspec.structs.asdict(who)}
    nth: int | None = await conn.scalar(_UNMATCH, facts)
    if nth is None:
        raise NotFound(what="match", wanted=line_id)
    return nth


class _Ends(msgspec.Struct, frozen=True, kw_only=True):
    """All that a break's end writes."""

    transfers: list[Transfer]
    about: About
    state: AttemptState | None = None
    part: Money | None = None


async def _endings(
    conn: AsyncConnection, kept: Kept, said: Said, *, write_off_max_minor: int
) -> _Ends:
    """Work out what the proposed end would write; EndingUnfit where it can't be."""
    found = await load_about(conn, [kept.break_id])
    if not found:
        raise EndingUnfit(break_id=kept.break_id, reason="it-moved-nothing")
    about = found[0]
    back = about.reversed()
    freed = [] if back is None else [back]
    is_debit = about.direction == "debit"
    programme_id, money, on = about.programme_id, about.money, about.booked_on
    match said.ending:
        case "payment" if said.payment_id is not None and said.attempt_no is not None:
            return await _as_payment(conn, about, freed, said.payment_id, said.attempt_no)
        case "fee" if is_debit:
            fee = bookings.charged(programme_id, money, line_id=about.line_id, on=on)
            return _Ends(transfers=[*freed, *fee], about=about)
        case "claim" if is_debit:
            turn = about.turn + 1
            claim = bookings.claimed(programme_id, money, line_id=about.line_id, on=on, turn=turn)
            return _Ends(transfers=[*freed, claim], about=about)
        case "recovered" if not is_debit and said.of_break is not None:
            claim = await _claim_of(conn, kept, money, said.of_break)
            return _Ends(transfers=[*freed, claim], about=about)
        case "write_off":
            if money.amount_minor > write_off_max_minor:
                raise EndingUnfit(break_id=kept.break_id, reason="above-the-limit")
            off = bookings.written_off(
                programme_id, money, line_id=about.line_id, on=on, is_gain=not is_debit
            )
            return _Ends(transfers=[*freed, *off], about=about)
    raise EndingUnfit(break_id=kept.break_id, reason="not-of-this-break")


async def _as_payment(
    conn: AsyncConnection, about: About, freed: list[Transfer], payment_id: UUID, attempt_no: int
) -> _Ends:
    """The line is this payment after all: delivered, whole or in part, or given back."""
    home = (await conn.execute(_HOME, {"payment_id": payment_id})).one_or_none()
    states = (await load_states(conn, [payment_id]))[payment_id]
    state = next((each for each in states if each.attempt.attempt_no == attempt_no), None)
    if home is None or state is None or state.attempt.money.currency != about.money.currency:
        raise EndingUnfit(break_id=about.break_id, reason="not-such-a-payment")
    attempt, on, money = state.attempt, about.booked_on, about.money
    if about.direction == "credit":
        if state.outcome != "post" or state.returned or state.delivered != money:
            raise EndingUnfit(break_id=about.break_id, reason="not-returned-like-this")
        made = bookings.returned(home.programme_id, home.round_id, attempt, on=on, part=state.part)
        return _Ends(transfers=[*freed, *made], about=about, state=state)
    if state.outcome is not None:
        raise EndingUnfit(break_id=about.break_id, reason="that-payment-has-ended")
    whole, rest = attempt.money, money.amount_minor - attempt.money.amount_minor
    part = money if rest < 0 else None
    made = bookings.paid(home.programme_id, home.round_id, attempt, on=on, part=part)
    if rest > 0:
        more = msgspec.structs.replace(whole, amount_minor=rest)
        made.append(
            bookings.claimed(
                about.programme_id, more, line_id=about.line_id, on=on, turn=about.turn + 1
            )
        )
    return _Ends(transfers=[*freed, *made], about=about, state=state, part=part)


async def _claim_of(conn: AsyncConnection, kept: Kept, money: Money, of_break: UUID) -> Transfer:
    """Return the reversal of the claim that this credit pays back, whole."""
    other, events = await load_one(conn, of_break)
    about = next(iter(await load_about(conn, [of_break])), None)
    if about is None or about.direction != "debit" or about.money != money:
        raise EndingUnfit(break_id=kept.break_id, reason="not-that-claim")
    is_claim = any(event.what == "settled" and event.ending == "claim" for event in events)
    if not is_claim and (about.kind not in bookings.CLAIMED or other.is_over):
        raise EndingUnfit(break_id=kept.break_id, reason="not-that-claim")
    claim = bookings.claimed(
        about.programme_id, money, line_id=about.line_id, on=about.booked_on, turn=about.turn
    )
    return bookings.recovered(claim, by_line=kept.found.line_id, on=about.booked_on)


async def _carry_out(conn: AsyncConnection, ends: _Ends, who: Who) -> None:
    facts = msgspec.structs.asdict(who)
    if ends.state is not None:
        attempt = ends.state.attempt
        row = (await conn.execute(_LINE, {"line_id": ends.about.line_id})).mappings().one()
        line = reconcile.line_of(row)
        await reconcile.allocate(conn, [_by_person(line, ends, attempt.money)], **facts)
        if ends.about.direction == "credit":
            back = Giveback(
                payment_id=attempt.payment_id,
                attempt_no=attempt.attempt_no,
                reason=line.reason,
                line_id=line.line_id,
            )
            await record_returns(conn, [back], partner_id=who.partner_id, at=who.at)
        else:
            outcome = Outcome(
                payment_id=attempt.payment_id,
                attempt_no=attempt.attempt_no,
                outcome="post",
                line_id=line.line_id,
                part=ends.part,
            )
            await record_outcomes(conn, [outcome], partner_id=who.partner_id, at=who.at)
    accounts = {
        account.account_id: account
        for each in ends.transfers
        for account in (each.debit, each.credit)
    }
    await post.open_accounts(conn, list(accounts.values()), partner_id=who.partner_id)
    await post.post(conn, ends.transfers, **facts)


def _by_person(line: StoredLine, ends: _Ends, whole: Money) -> Allocation:
    assert ends.state is not None
    attempt = ends.state.attempt
    money = ends.about.money if ends.about.money.amount_minor < whole.amount_minor else whole
    return allocate(
        OpenAttempt(
            payment_id=attempt.payment_id,
            attempt_no=attempt.attempt_no,
            end_to_end_id=attempt.end_to_end_id,
            money=whole,
            opened_on=ends.about.booked_on,
        ),
        line,
        claim_of(line),
        part=money,
    )
