"""Of two at the same moment one wins, and the other is told."""

import asyncio

from api import clock, db
from cbi import appeals, lodge, outbox, slips
from cbi.appeal import Intake, Statement
from cbi.appeal_refusal import AppealDecided, NothingToActOn
from tests.cbi.appealing import (
    ACT_BY,
    DAYS,
    SAID,
    decided,
    fresh,
    lodged,
    refused,
    slip_of,
    taken,
    who,
)
from tests.cbi.conftest import OwnDatabase
from tests.cbi.world import ALFA, DESK, GAMA, PARTNER_B, family, registered, staff

BETA_CLERK, GAMA_CLERK = staff(1, PARTNER_B, {"registrar"}), GAMA
REVIEWERS = (staff(7, GAMA.partner_id, {"adjudicator"}), staff(8, PARTNER_B, {"adjudicator"}))


async def together(own: OwnDatabase, *works):
    """Do the first, and the second while the first is not committed; return what became of each."""
    (first_actor, first), (second_actor, second) = works

    async def other():
        async with own.begin(second_actor) as conn:
            return await second(conn)

    async with own.begin(first_actor) as conn:
        done = await first(conn)
        task = asyncio.create_task(other())
        await own.waits(task)
    return done, (await asyncio.gather(task, return_exceptions=True))[0]


async def an_appeal(own: OwnDatabase):
    async with own.begin() as conn:
        done = await lodged(conn, (await refused(conn)).token)
    return done.appeal_id


async def test_two_who_show_one_token_at_once_have_one_appeal(own):
    async with own.begin() as conn:
        token = (await refused(conn)).token

    def show(actor):
        return lambda conn: lodged(conn, token, actor)

    one, other = await together(own, (BETA_CLERK, show(BETA_CLERK)), (GAMA_CLERK, show(GAMA_CLERK)))
    assert (one.is_new, other.is_new) == (True, False)
    assert one.appeal_id == other.appeal_id


async def test_two_who_give_a_slip_for_one_refusal_at_once_give_one(own):
    async with own.begin() as conn:
        household_id = (await registered(conn, family(1))).household_id
    one, other = await together(
        own,
        (ALFA, lambda conn: slip_of(conn, household_id)),
        (ALFA, lambda conn: slip_of(conn, household_id)),
    )
    assert one.slip.slip_id == other.slip.slip_id
    assert (one.print_no, other.print_no) == (1, 2)


async def test_of_two_prints_at_once_the_later_one_counts(own):
    async with own.begin() as conn:
        slip = (await refused(conn)).slip
    tokens = [fresh().token, fresh().token]

    def reprint(token):
        return lambda conn: slips.reprint(
            conn,
            household_id=slip.household_id,
            slip_id=slip.slip_id,
            token=token,
            matching_key=DESK.matching_key,
            who=who(ALFA),
        )

    one, other = await together(own, *((ALFA, reprint(token)) for token in tokens))
    assert (one.print_no, other.print_no) == (2, 3)
    async with own.begin() as conn:
        assert (await lodged(conn, tokens[1])).is_new


async def test_of_two_webhooks_added_at_once_one_replaces_the_other(own):
    def add(url):
        return lambda conn: outbox.add_webhook(
            conn,
            url,
            webhook_id=clock.new_id(),
            local=False,
            vault=DESK.vault,
            who=who(ALFA),
        )

    urls = ["https://hooks.example/a", "https://hooks.example/b"]
    await together(own, *((ALFA, add(url)) for url in urls))
    async with own.begin() as conn:
        found = await outbox.list_webhooks(conn, ALFA.partner_id)
    assert sorted((each.url, each.ended_because) for each in found if each.ended_at) == [
        (urls[0], "replaced")
    ]
    assert len(found) == 2


async def test_of_two_who_decide_at_once_one_does(own):
    appeal_id = await an_appeal(own)
    async with own.begin() as conn:
        await taken(conn, appeal_id)
    actor = REVIEWERS[0]
    one, other = await together(
        own,
        (actor, lambda conn: decided(conn, appeal_id, "reversed")),
        (actor, lambda conn: decided(conn, appeal_id, "upheld")),
    )
    assert one.decided.outcome == "reversed"
    assert isinstance(other, AppealDecided)


async def test_who_is_asked_while_another_decides_is_too_late(own):
    appeal_id = await an_appeal(own)
    async with own.begin() as conn:
        await taken(conn, appeal_id)
    one, other = await together(
        own,
        (REVIEWERS[0], lambda conn: decided(conn, appeal_id, "upheld")),
        (REVIEWERS[1], lambda conn: taken(conn, appeal_id, REVIEWERS[1])),
    )
    assert one.decided is not None
    assert isinstance(other, AppealDecided)


async def test_of_two_who_say_they_acted_one_did(own):
    appeal_id = await an_appeal(own)
    async with own.begin() as conn:
        await taken(conn, appeal_id)
        assert (await decided(conn, appeal_id)).effect.act_by == ACT_BY

    def act(what):
        return lambda conn: appeals.act(conn, appeal_id, what=what, who=who(ALFA))

    one, other = await together(own, (ALFA, act("paid")), (ALFA, act("enrolled")))
    assert one.acted.what == "paid"
    assert isinstance(other, NothingToActOn)


async def test_a_lost_slip_and_its_token_at_once_make_one_appeal(own):
    async with own.begin() as conn:
        printed = await refused(conn)
    intake = Intake(language="es", channel="paper", contact=False, statement=Statement(said=SAID))

    def without(conn):
        return lodge.lodge_without(
            conn,
            intake,
            household_id=printed.slip.household_id,
            slip_id=printed.slip.slip_id,
            appeal_id=clock.new_id(),
            days=DAYS,
            vault=DESK.vault,
            who=who(ALFA),
        )

    one, other = await together(
        own,
        (ALFA, without),
        (BETA_CLERK, lambda conn: lodged(conn, printed.token, BETA_CLERK)),
    )
    assert (one.is_new, other.is_new) == (True, False)
    assert one.appeal_id == other.appeal_id
    async with own.begin(db.SYSTEM) as conn:
        assert len(await appeals.list_appeals(conn, appeals.Wanted(), limit=9)) == 1
