"""What overlap refused is kept without saying of whom, replayed, and dropped in time."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi import attempts
from cbi.overlap import check, example, months_of
from cbi.overlap_refusal import Overlap
from cbi.replay import NOBODY, Fact, Outcome, simulate
from tests.cbi.overlapping import JULY, OCTOBER, agreed, one, promised
from tests.cbi.test_enrol import one_family
from tests.cbi.test_simulate import KEY, fact, tried
from tests.cbi.world import ALFA, AT, BETA, PARTNERS, family, programme_of, staff
from tests.conftest import PARTNER_A, PARTNER_B

NONE = check({**example(), "blocks": []})[0]
COORDINATOR = staff(7, UUID(int=9), {"coordinator"})


async def refused(own, programme, household_id, actor=BETA, *, at=AT + timedelta(hours=1), **more):
    """Ask for what is refused, as a request does."""
    with pytest.raises(Overlap):
        async with db.transaction(own.app, actor, attempt_key=KEY) as conn:
            await promised(conn, programme, household_id, actor, at=at, **more)


async def kept(own) -> list:
    async with own.owner.connect() as conn:
        return (await conn.execute(text("SELECT * FROM cbi.refused_attempt ORDER BY at"))).all()


async def asked(own):
    """One family that A promises cash; B is refused cash and food for it."""
    async with own.begin() as conn:
        await agreed(conn)
        mine, theirs = await one_family(conn)
        await promised(conn, await programme_of(conn), mine, first=JULY)
        cash = await programme_of(conn, BETA)
        food = await programme_of(conn, BETA, group="food")
    await refused(own, cash, theirs, first=OCTOBER)
    await refused(own, food, theirs, first=JULY, months=1)
    return cash, food, theirs


async def test_a_refusal_is_kept_though_all_else_is_undone_and_names_nobody(own):
    cash, _, theirs = await asked(own)
    # The same again on one day is the same.
    await refused(own, cash, theirs, first=OCTOBER, at=AT + timedelta(hours=2))
    found = await kept(own)
    assert [(each.partner_id, each.assistance, each.rules_version) for each in found] == [
        (PARTNER_B, "mpca", 1),
        (PARTNER_B, "food", 1),
    ]
    assert found[0].months.lower == OCTOBER
    assert len({each.household_key for each in found}) == 1
    assert theirs.bytes not in found[0].household_key
    await refused(own, cash, theirs, first=OCTOBER, at=AT + timedelta(days=1))
    assert len(await kept(own)) == 3
    assert (await own.rows())["cbi.enrolment"] == 1


async def test_a_looser_rule_says_how_many_attempts_it_would_have_let_through(own):
    await asked(own)
    async with own.begin() as conn:
        found = await tried(conn, staff(7, PARTNER_B, {"coordinator"}), NONE)
        beta = next(each for each in found.outcomes if each.partner_id == PARTNER_B)
        # One family, by two attempts; all of them are let through, in force none is.
        assert (beta.attempts.households, beta.let_in_force.households) == (1, 0)
        assert beta.let_proposed is None
        (_, beta) = (await tried(conn, COORDINATOR, NONE)).outcomes
        assert (beta.attempts, beta.let_proposed) == (None, None)


async def test_a_family_of_another_registration_is_found_by_its_own_keyed_hash(own):
    await asked(own)
    async with own.begin(COORDINATOR) as conn:
        rows = (
            await conn.execute(
                text("SELECT * FROM cbi.promises_since(:at, :until, 99, :key)"),
                {"at": AT, "until": AT + timedelta(days=9), "key": KEY},
            )
        ).all()
    assert [(each.is_promise, each.is_counted) for each in rows] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert len({each.family for each in rows}) == 1
    # With another key nobody is found.
    async with own.begin(COORDINATOR) as conn:
        others = await conn.execute(
            text("SELECT * FROM cbi.promises_since(:at, :until, 99, :key) WHERE NOT is_promise"),
            {"at": AT, "until": AT + timedelta(days=9), "key": b"x" * 32},
        )
        assert others.all() == []


async def test_an_organisation_learns_nothing_of_what_others_were_refused(own):
    await asked(own)
    for actor, many in ((ALFA, 0), (BETA, 2)):
        async with own.begin(staff(3, actor.partner_id, {"programme"})) as conn:
            found = await conn.scalar(
                text(
                    "SELECT count(*) FROM cbi.promises_since(:at, :until, 99, :key)"
                    " WHERE NOT is_promise"
                ),
                {"at": AT, "until": AT + timedelta(days=9), "key": KEY},
            )
            assert found == many
            assert await conn.scalar(text("SELECT count(at) FROM cbi.refused_attempt")) == 0


def test_an_attempt_that_is_let_through_stands_in_nobodys_way():
    attempt = fact(first=OCTOBER, hours=1, is_promise=False, partner_id=PARTNER_B)
    facts: list[Fact] = [fact(), attempt, fact(first=OCTOBER, hours=2)]
    alfa, beta = simulate(facts, in_force=check(example())[0], proposed=NONE)
    assert (alfa.refused_in_force.households, alfa.refused_proposed.households) == (1, 0)
    assert alfa.attempts == NOBODY
    assert beta == Outcome(
        partner_id=PARTNER_B,
        promised=NOBODY,
        refused_in_force=NOBODY,
        refused_proposed=NOBODY,
        attempts=beta.attempts,
        let_in_force=NOBODY,
        let_proposed=beta.attempts,
    )


async def test_the_worker_drops_what_is_old_and_nobody_else_drops_anything(own):
    async with own.begin() as conn:
        mine = await one(conn, family(1))
        now = clock.now()
        for days in (5, 40, 400):
            remembered = attempts.begin(conn, KEY)
            attempts.remember(
                conn,
                mine,
                assistance="rent",
                months=months_of(JULY, 1),
                rules_version=0,
                at=now - timedelta(days=days),
            )
            await attempts.write_all(conn, remembered)
    for actor in (ALFA, staff(3, PARTNER_A, {"admin", "auditor", "coordinator"})):
        async with own.begin(actor) as conn:
            assert await attempts.drop(conn, before=now) == 0
    async with own.begin(db.WORKER) as conn:
        assert await attempts.drop(conn, before=now - timedelta(days=365)) == 1
        # Whatever it asks for, not what is new.
        assert await attempts.drop(conn, before=now) == 1
    assert len(await kept(own)) == 1


async def test_nobody_keeps_an_attempt_in_anothers_name(conn):
    await db.set_facts(conn, ALFA)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.refused_attempt (partner_id, household_key, assistance,"
                    " months, rules_version, at) VALUES (:other, sha256('x'), 'rent',"
                    " '[2026-07-01,)', 0, now())"
                ),
                {"other": PARTNERS["BETA"]},
            )
