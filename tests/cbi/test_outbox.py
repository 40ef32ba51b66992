"""Notices are written once for a thing and a day, and go out at least once, under one id."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from api.messages import MESSENGER
from cbi import appeals, outbox
from cbi.outbox import Tried
from cbi.refusal import BadValue, NotFound
from cbi.webhook import PAUSES_SECONDS
from tests.cbi.appealing import (
    ACT_BY,
    DUE_ON,
    case_of,
    decided,
    forget,
    lodged,
    refused,
    slip_of,
    taken,
    who,
)
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    TODAY,
    again,
    consent,
    family,
    judged,
    registered,
    withdraw,
)
from tests.conftest import PARTNER_A, PARTNER_B

DAY = timedelta(days=1)


async def swept(conn, day=TODAY, *, cases_before=AT, at=None) -> int:
    await db.set_facts(conn, MESSENGER)
    moment = at or AT + (day - TODAY)
    return await outbox.make_notices(conn, today=day, cases_before=cases_before, at=moment)


async def notices(conn, kind: str = "%") -> list[tuple]:
    await db.set_facts(conn, db.SYSTEM)
    rows = await conn.execute(
        text(
            "SELECT partner_id, kind, about, day, body FROM cbi.notice WHERE kind LIKE :kind"
            " ORDER BY kind, partner_id, day"
        ),
        {"kind": kind},
    )
    return [tuple(row) for row in rows]


async def hooked(conn, actor=ALFA, url="https://hooks.example/a"):
    await db.set_facts(conn, actor)
    webhook_id = clock.new_id()
    _, secret = await outbox.add_webhook(
        conn, url, webhook_id=webhook_id, local=False, vault=DESK.vault, who=who(actor)
    )
    return webhook_id, secret


async def claimed(conn, at=AT, most=100):
    await db.set_facts(conn, MESSENGER)
    return await outbox.claim(conn, at=at, most=most)


async def noted(conn, one, why, at=AT, status=None):
    await db.set_facts(conn, MESSENGER)
    await outbox.note(conn, [(one, Tried(why=why, status=status))], at=at)


async def states(conn, at=AT, actor=ALFA):
    await db.set_facts(conn, actor)
    found = await outbox.list_notices(
        conn, partner_id=actor.partner_id, state=None, after=None, limit=50, at=at
    )
    return [(each.kind, each.state, each.attempts, each.why) for each in found]


async def test_the_sweep_tells_each_organisation_how_many_cases_wait_once_a_day(conn):
    _, case_id = await case_of(conn, 1)
    await registered(conn, family(2, duplicate_check=False))
    assert await swept(conn, cases_before=AT) == 2
    waiting = {partner: body for partner, _, _, _, body in await notices(conn, "cases.waiting")}
    assert waiting == {
        PARTNER_A: {"waiting": 2, "overdue": 0},
        PARTNER_B: {"waiting": 1, "overdue": 0},
    }
    assert await swept(conn) == 0
    await judged(conn, case_id, "different", PARTNER_A)
    assert await swept(conn, TODAY + DAY, cases_before=AT + DAY) == 2
    later = [body for _, _, _, day, body in await notices(conn, "cases.waiting") if day > TODAY]
    assert later == [{"waiting": 1, "overdue": 1}] * 2


async def test_who_was_asked_hears_of_waiting_appeals_and_who_refused_of_reversals(conn):
    done = await lodged(conn, (await refused(conn)).token)
    await forget(conn)
    await taken(conn, done.appeal_id)
    assert await swept(conn, DUE_ON + DAY) == 1
    ((partner, _, about, _, body),) = await notices(conn, "appeals.waiting")
    assert (partner, body) == (about, {"waiting": 1, "overdue": 1})
    await decided(conn, done.appeal_id)
    assert await swept(conn, ACT_BY) == await swept(conn, ACT_BY + DAY) == 1
    found = await notices(conn, "reversal.to_act")
    assert [(row[0], row[2], row[4]["overdue"]) for row in found] == [
        (PARTNER_A, done.appeal_id, False),
        (PARTNER_A, done.appeal_id, True),
    ]
    await db.set_facts(conn, ALFA)
    await appeals.act(conn, done.appeal_id, what="enrolled", who=who(ALFA))
    assert await swept(conn, ACT_BY + 2 * DAY) == 0


async def test_nobody_is_written_to_who_did_not_say_so(conn):
    silent = await lodged(conn, (await refused(conn, 1)).token)
    spoken = await lodged(conn, (await refused(conn, 2)).token, contact=True, language="en")
    await forget(conn)
    for done in (silent, spoken):
        await taken(conn, done.appeal_id)
        await decided(conn, done.appeal_id, "upheld", at=AT + DAY)
    await swept(conn, TODAY + DAY)
    found = await notices(conn, "person.%")
    assert [(row[0], row[1], row[2]) for row in found] == [
        (PARTNER_B, "person.appeal_decided", spoken.appeal_id),
        (PARTNER_B, "person.appeal_taken", spoken.appeal_id),
    ]
    assert set(found[0][4]) == {"appeal_id", "reference", "language", "due_on"}
    # Once, whichever day it is swept; and what is older than a week is not told any more.
    assert not [row for row in await after_sweep(conn, TODAY + 2 * DAY) if row not in found]


async def after_sweep(conn, day):
    await swept(conn, day)
    return await notices(conn, "person.%")


async def test_a_household_hears_from_its_organisation_only_while_it_consents(conn):
    answers = [*family(5)["consents"], consent("contact")]
    household_id = (await registered(conn, family(5, consents=answers))).household_id
    other_id = (await registered(conn, family(6))).household_id
    for each in (household_id, other_id):
        done = await lodged(conn, (await slip_of(conn, each)).token)
        await forget(conn)
        await taken(conn, done.appeal_id)
        await decided(conn, done.appeal_id)
    await swept(conn)
    ((partner, _, _, _, body),) = await notices(conn, "person.reversal")
    assert (partner, body["household_id"]) == (PARTNER_A, str(household_id))
    await hooked(conn)
    assert "person.reversal" in {one.kind for one in await claimed(conn)}
    # Taken back before it went out: it is not tried again.
    await withdraw(conn, household_id, "contact")
    assert await claimed(conn, AT + timedelta(minutes=2)) != []
    assert "person.reversal" not in {
        one.kind for one in await claimed(conn, AT + timedelta(minutes=4))
    }


async def test_a_notice_is_claimed_by_one_and_again_when_its_lease_is_over(conn):
    await case_of(conn)
    await swept(conn)
    assert await claimed(conn) == []  # nobody has a webhook
    await hooked(conn)
    (first,) = await claimed(conn)
    assert (first.attempt_no, first.partner_id) == (1, PARTNER_A)
    assert await claimed(conn, AT + timedelta(seconds=59)) == []
    (again_,) = await claimed(conn, AT + timedelta(seconds=60))
    assert (again_.notice_id, again_.attempt_no) == (first.notice_id, 2)


async def test_a_failed_try_is_repeated_with_growing_pauses_until_the_notice_is_dead(conn):
    await case_of(conn)
    await swept(conn)
    await hooked(conn)
    at, ids = AT, set()
    for pause in (*PAUSES_SECONDS, None):
        (one,) = await claimed(conn, at)
        ids.add(one.notice_id)
        await noted(conn, one, "status", at, 500)
        if pause is not None:
            assert await states(conn, at) == [
                ("cases.waiting", "waiting", one.attempt_no, "status")
            ]
            assert await claimed(conn, at + timedelta(seconds=pause - 1)) == []
            at += timedelta(seconds=pause)
    assert len(ids) == 1
    assert at - AT < DAY
    assert await states(conn, at) == [("cases.waiting", "dead", len(PAUSES_SECONDS) + 1, "status")]
    assert await claimed(conn, at + timedelta(hours=1)) == []


async def test_what_was_delivered_is_not_sent_again_and_what_is_gone_ends_the_webhook(conn):
    await case_of(conn)
    await swept(conn)
    webhook_id, _ = await hooked(conn)
    await hooked(conn, BETA)
    ours, theirs = sorted(await claimed(conn), key=lambda one: one.partner_id)
    await noted(conn, ours, "delivered", status=204)
    await noted(conn, theirs, "gone", status=410)
    assert await states(conn) == [("cases.waiting", "delivered", 1, "delivered")]
    assert await states(conn, actor=BETA) == [("cases.waiting", "dead", 1, "gone")]
    assert await claimed(conn, AT + timedelta(hours=1)) == []
    await db.set_facts(conn, BETA)
    (ended,) = await outbox.list_webhooks(conn, PARTNER_B)
    assert ended.ended_because == "gone"
    await db.set_facts(conn, ALFA)
    (alive,) = await outbox.list_webhooks(conn, PARTNER_A)
    assert (alive.webhook_id, alive.ended_at) == (webhook_id, None)


async def test_a_new_webhook_replaces_the_one_before_with_another_secret(conn):
    first, secret = await hooked(conn)
    second, other = await hooked(conn, url="https://hooks.example/b")
    assert secret != other
    stored = await conn.scalars(text("SELECT wrapped FROM cbi.webhook"))
    assert not any(secret in wrapped or other in wrapped for wrapped in stored.all())
    found = await outbox.list_webhooks(conn, PARTNER_A)
    assert [(each.webhook_id, each.ended_because) for each in found] == [
        (second, None),
        (first, "replaced"),
    ]
    await outbox.close_webhook(conn, second, who=who(ALFA))
    for each in (first, second, clock.new_id()):
        with pytest.raises(NotFound):
            await outbox.close_webhook(conn, each, who=who(ALFA))
    with pytest.raises(BadValue):
        await hooked(conn, url="https://127.0.0.1/")


async def test_nobody_but_the_messenger_sweeps_claims_or_writes_notices(conn):
    await case_of(conn)
    await hooked(conn)
    for actor in (ALFA, db.SYSTEM, None):
        await db.set_facts(conn, actor)
        assert await outbox.make_notices(conn, today=TODAY, cases_before=AT, at=AT) == 0
    await swept(conn)
    for actor in (ALFA, db.SYSTEM, None):
        await db.set_facts(conn, actor)
        assert await outbox.claim(conn, at=AT, most=9) == []
        with pytest.raises(DBAPIError, match="row-level security"):
            async with conn.begin_nested():
                await conn.execute(
                    text(
                        "INSERT INTO cbi.notice VALUES (uuidv7(), :partner, 'cases.waiting',"
                        " :partner, '2026-01-01', '{}', now())"
                    ),
                    {"partner": PARTNER_A},
                )


async def test_two_workers_at_once_never_have_the_same_try(own):
    async with own.begin() as conn:
        await registered(conn, family(1))
        for seed in range(3):
            await registered(conn, again(family(1), reference=f"R-{seed}"), BETA)
        await hooked(conn)
        await hooked(conn, BETA)
        await swept(conn)
    async with own.begin(MESSENGER) as one, own.begin(MESSENGER) as other:
        mine = await outbox.claim(one, at=AT, most=1)
        theirs = await outbox.claim(other, at=AT, most=10)
        assert len(mine) == len(theirs) == 1
        assert mine[0].notice_id != theirs[0].notice_id
