"""Grants that one person entered and another approved."""

from datetime import date

from api import clock, db
from cbi import fund, grants
from cbi.grant import Agreed
from ledger.money import Money
from tests.cbi.agreed import agreed as agreed_term
from tests.cbi.agreed import second, who_of
from tests.cbi.world import ALFA, AT, TODAY

FIRST_DAY, LAST_DAY = date(2026, 1, 1), date(2026, 12, 31)


def given(minor: int, *, first=FIRST_DAY, last=LAST_DAY, currency="PEN") -> Agreed:
    money = Money(amount_minor=minor, currency=currency)
    return Agreed(money=money, first_day=first, last_day=last)


async def entered(conn, minor=1_000_000, *, code=None, who=ALFA, **days):
    await db.set_facts(conn, who)
    return await grants.enter(
        conn,
        grant_id=clock.new_id(),
        code=code or f"G{clock.new_id().hex[-12:].upper()}",
        donor="A donor",
        reference="AGR-2026/1",
        agreed=given(minor, **days),
        who=who_of(who),
    )


async def approved(conn, grant, version=1, *, who=ALFA):
    other = second(who)
    await db.set_facts(conn, other)
    found = await grants.approve(conn, grant_id=grant.grant_id, version=version, who=who_of(other))
    await db.set_facts(conn, who)
    return found


async def granted(conn, minor=1_000_000, *, who=ALFA, **more):
    """A grant that counts."""
    return await approved(conn, await entered(conn, minor, who=who, **more), who=who)


async def amended(conn, grant, kind, minor, *, last=LAST_DAY, who=ALFA):
    await db.set_facts(conn, who)
    return await grants.amend(
        conn, grant_id=grant.grant_id, kind=kind, agreed=given(minor, last=last), who=who_of(who)
    )


async def draws(conn, programme, *found, who=ALFA, since=FIRST_DAY):
    """Let a programme draw on these grants."""
    content = {"grants": [each.code for each in found]}
    return await agreed_term(conn, programme, "grants", content, who, since=since)


async def deposited(conn, programme, grant, minor, *, on=TODAY, who=ALFA, **more):
    await db.set_facts(conn, who)
    return await fund.deposit(
        conn,
        programme_id=programme.programme_id,
        money=Money(amount_minor=minor, currency=more.get("currency", "PEN")),
        deposit_id=more.get("deposit_id") or clock.new_id(),
        of_grant=None if grant is None else grant.code,
        on=on,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )


async def allotted(conn, programme, grant, minor, *, who=ALFA):
    await db.set_facts(conn, who)
    return await fund.allot(
        conn,
        programme_id=programme.programme_id,
        of_grant=grant.code,
        money=Money(amount_minor=minor, currency="PEN"),
        allotment_id=clock.new_id(),
        on=TODAY,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )


async def named(conn, round_id, grant, *, who=ALFA):
    await db.set_facts(conn, who)
    return await grants.name_round(conn, round_id=round_id, code=grant.code, who=who_of(who))
