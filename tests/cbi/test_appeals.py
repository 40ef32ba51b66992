"""An appeal is taken in anywhere, reviewed by who took no part, and a reversal does something."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import clock, db
from cbi import appeals, lodge, slips
from cbi.appeal import BECAUSE, Intake, Statement, history
from cbi.appeal_refusal import (
    AppealDecided,
    AppealTriesSpent,
    NothingToActOn,
    NotTheReviewer,
    ReviewerTookPart,
    SlipUnknown,
    StatementErased,
)
from cbi.appeals import Wanted
from cbi.lodge import Days
from cbi.refusal import BadValue, NotFound
from cbi.slip import NewSlip
from dedup.cases import load_case
from tests.cbi.appealing import (
    ACT_BY,
    CLERK,
    DAYS,
    DUE_ON,
    REVIEWER,
    SAID,
    case_of,
    decided,
    forget,
    fresh,
    lodged,
    refused,
    slip_of,
    taken,
    who,
)
from tests.cbi.world import ALFA, AT, BETA, DESK, GAMA, TODAY, judged, rolled_back, staff
from tests.conftest import PARTNER_A, PARTNER_B

PARTNER_C = GAMA.partner_id


async def test_any_organisation_takes_an_appeal_in_and_learns_its_reference_only(conn):
    printed = await refused(conn)
    done = await lodged(conn, printed.token)
    assert done.is_new
    seen = await appeals.load_appeal(conn, done.appeal_id)
    assert (seen.state, seen.due_on, seen.by_token) == ("waiting", DUE_ON, True)
    assert seen.refused.reference == printed.slip.reference
    assert (seen.refused.reason, seen.refused.case_id, seen.refused.issued_at) == (None,) * 3
    for table in ("cbi.slip", "cbi.slip_print", "cbi.slip_group", "cbi.appeal_key"):
        assert await conn.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table
    # An organisation that has nothing to do with it sees nothing.
    await forget(conn)
    await db.set_facts(conn, staff(0, PARTNER_C, {"registrar", "programme"}))
    with pytest.raises(NotFound):
        await appeals.load_appeal(conn, done.appeal_id)
    # The one that refused knows what it is about.
    await db.set_facts(conn, ALFA)
    assert (await appeals.load_appeal(conn, done.appeal_id)).refused.reason == "family_assisted"


async def test_a_token_used_again_gives_its_appeal_and_adds_nothing(conn):
    printed = await refused(conn)
    first = await lodged(conn, printed.token)
    late = Days(on=printed.slip.appeal_until + timedelta(days=1), due_on=DUE_ON)
    clerk = staff(2, PARTNER_C, {"registrar"})
    again = await lodged(conn, printed.token, clerk, days=late)
    assert (again.appeal_id, again.is_new) == (first.appeal_id, False)
    # Its holder may ask for the answer there; without the token nobody there sees it.
    seen = await appeals.load_appeal(conn, first.appeal_id)
    assert (seen.state, seen.refused.reason) == ("waiting", None)
    await forget(conn)
    with pytest.raises(NotFound):
        await appeals.load_appeal(conn, first.appeal_id)


async def test_an_unknown_a_replaced_and_a_late_token_are_refused_alike(conn):
    printed = await refused(conn)
    late = Days(on=printed.slip.appeal_until + timedelta(days=1), due_on=DUE_ON)
    await db.set_facts(conn, ALFA)
    facts = {"household_id": printed.slip.household_id, "slip_id": printed.slip.slip_id}
    reprinted = await slips.reprint(
        conn, token=fresh().token, matching_key=DESK.matching_key, who=who(ALFA), **facts
    )
    for token, days in (
        (printed.token, DAYS),
        (reprinted.token, late),
        (fresh().token, DAYS),
        ("no token", DAYS),
    ):
        with pytest.raises(SlipUnknown) as told:
            await lodged(conn, token, days=days)
        assert vars(told.value) == {}
    assert (await lodged(conn, reprinted.token)).is_new


async def test_without_its_slip_an_appeal_is_taken_in_where_the_household_is_known(conn):
    printed = await refused(conn)
    intake = Intake(language="es", channel="phone", contact=False, statement=Statement(said=SAID))
    facts = {"household_id": printed.slip.household_id, "slip_id": printed.slip.slip_id}
    more = {"days": DAYS, "vault": DESK.vault}
    await db.set_facts(conn, BETA)
    with pytest.raises(NotFound):
        await lodge.lodge_without(
            conn, intake, appeal_id=clock.new_id(), who=who(BETA), **facts, **more
        )
    await db.set_facts(conn, ALFA)
    done = await lodge.lodge_without(
        conn, intake, appeal_id=clock.new_id(), who=who(ALFA), **facts, **more
    )
    assert not (await appeals.load_appeal(conn, done.appeal_id)).by_token


async def test_tokens_are_tried_so_often_a_day_by_an_organisation(conn):
    await db.set_facts(conn, BETA)
    facts = {"tries_per_day": 2, "partner_id": PARTNER_B, "at": AT, "opens_again_at": AT}
    for _ in range(2):
        await lodge.claim_try(conn, on=TODAY, **facts)
    with pytest.raises(AppealTriesSpent):
        await lodge.claim_try(conn, on=TODAY, **facts)
    await lodge.claim_try(conn, on=TODAY + timedelta(days=1), **facts)
    await db.set_facts(conn, ALFA)
    await lodge.claim_try(conn, on=TODAY, **facts | {"partner_id": PARTNER_A})


async def test_nobody_adds_an_appeal_past_the_door(conn):
    await refused(conn)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.appeal SELECT uuidv7(), slip_id, partner_id, partner_id,"
                    " issued_by, now(), true, 'es', 'phone', false, '2026-06-30', '' FROM cbi.slip"
                )
            )


async def test_who_refused_neither_reviews_nor_says_who_does(conn):
    done = await lodged(conn, (await refused(conn)).token)
    for actor in (staff(8, PARTNER_A, {"adjudicator"}), staff(8, PARTNER_A, {"coordinator"})):
        with pytest.raises(ReviewerTookPart):
            await taken(conn, done.appeal_id, actor, partner="GAMA", is_coordinator=True)
    # A coordinator elsewhere can't ask it either, and the database says so.
    beta = staff(8, PARTNER_B, {"coordinator"})
    with pytest.raises(ReviewerTookPart):
        await taken(conn, done.appeal_id, beta, partner="ALFA", is_coordinator=True)
    with pytest.raises(BadValue):
        await taken(conn, done.appeal_id, REVIEWER, partner="BETA")
    appeal = await taken(conn, done.appeal_id, beta, partner="GAMA", is_coordinator=True)
    assert appeal.assignments[-1].reviewer_partner_id == PARTNER_C
    assert appeal.state == "assigned"


async def test_who_judged_the_case_beneath_does_not_review(conn):
    household_id, case_id = await case_of(conn)
    await judged(conn, case_id, "same_household", PARTNER_A, PARTNER_B)
    asked = NewSlip(reason="duplicate_decision", case_id=case_id)
    done = await lodged(conn, (await slip_of(conn, household_id, asked)).token, GAMA)
    with pytest.raises(ReviewerTookPart):
        await taken(conn, done.appeal_id, staff(3, PARTNER_B, {"adjudicator"}))
    assert (await taken(conn, done.appeal_id)).state == "assigned"


async def test_only_who_was_asked_last_decides_and_only_once(conn):
    done = await lodged(conn, (await refused(conn)).token)
    beta = staff(5, PARTNER_B, {"adjudicator"})
    with pytest.raises(NotTheReviewer):
        await decided(conn, done.appeal_id)
    await taken(conn, done.appeal_id, beta)
    await taken(conn, done.appeal_id)
    with pytest.raises(NotTheReviewer):
        await decided(conn, done.appeal_id, actor=beta)
    # The appeal was taken by one person, and a colleague is another.
    with pytest.raises(NotTheReviewer):
        await decided(conn, done.appeal_id, actor=staff(6, PARTNER_C, {"adjudicator"}))
    with pytest.raises(BadValue):
        await decided(conn, done.appeal_id, "upheld", "another_family")
    appeal = await decided(conn, done.appeal_id, "upheld")
    assert (appeal.state, appeal.effect, appeal.waits_until()) == ("decided", None, None)
    with pytest.raises(AppealDecided):
        await decided(conn, done.appeal_id)
    with pytest.raises(AppealDecided):
        await taken(conn, done.appeal_id)


async def test_a_reversal_opens_the_decided_case_anew_with_its_evidence(conn):
    household_id, case_id = await case_of(conn)
    await judged(conn, case_id, "same_household", PARTNER_A, PARTNER_B)
    asked = NewSlip(reason="duplicate_decision", case_id=case_id)
    done = await lodged(conn, (await slip_of(conn, household_id, asked)).token)
    await taken(conn, done.appeal_id)
    appeal = await decided(conn, done.appeal_id)
    assert appeal.state == "decided"
    assert appeal.effect.kind == "case_reopened"
    old, new = await load_case(conn, case_id), await load_case(conn, appeal.effect.case_id)
    assert (new.case.reopens, new.state, new.decision) == (case_id, "open", None)
    assert [pair.evidence for pair in new.pairs] == [pair.evidence for pair in old.pairs]
    assert new.pairs
    # It is judged as any other, and then the family is parted again.
    answer = await judged(conn, appeal.effect.case_id, "different", PARTNER_A, PARTNER_B)
    assert answer.households_parted == 2


async def test_a_reversal_asks_the_organisation_that_refused_to_act_by_a_day(conn):
    done = await lodged(conn, (await refused(conn)).token)
    await taken(conn, done.appeal_id)
    appeal = await decided(conn, done.appeal_id)
    assert (appeal.state, appeal.effect.act_by, appeal.waits_until()) == ("to_act", ACT_BY, ACT_BY)
    for actor in (REVIEWER, BETA):
        await db.set_facts(conn, actor)
        with pytest.raises(NothingToActOn):
            await appeals.act(conn, done.appeal_id, what="enrolled", who=who(actor))
    await db.set_facts(conn, ALFA)
    acted = await appeals.act(conn, done.appeal_id, what="enrolled", who=who(ALFA))
    assert (acted.state, acted.acted.what) == ("done", "enrolled")
    with pytest.raises(NothingToActOn):
        await appeals.act(conn, done.appeal_id, what="paid", who=who(ALFA))
    told = [event.what for event in history(acted)]
    assert told == ["taken", "assigned", "decided", "must_act", "done"]


async def test_a_reversal_without_an_effect_is_not_committed(conn):
    done = await lodged(conn, (await refused(conn)).token)
    appeal = await taken(conn, done.appeal_id)
    async with rolled_back(conn):
        await conn.execute(
            text(
                "INSERT INTO cbi.appeal_outcome (appeal_id, partner_id, assignment_no,"
                " reviewer_partner_id, reviewer_actor_id, outcome, because, decided_at)"
                " VALUES (:appeal, :refused, :no, :partner, :actor, 'reversed',"
                " 'another_family', now())"
            ),
            {
                "appeal": done.appeal_id,
                "refused": PARTNER_A,
                "no": appeal.assignments[-1].assignment_no,
                "partner": PARTNER_C,
                "actor": REVIEWER.actor_id,
            },
        )
        with pytest.raises(IntegrityError, match="appeal_reversal_has_effect"):
            await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


async def test_every_outcome_has_its_reasons_in_the_database_as_well(conn):
    done = await lodged(conn, (await refused(conn)).token)
    await taken(conn, done.appeal_id)
    for outcome, reasons in BECAUSE.items():
        for because in sorted(reasons):
            async with rolled_back(conn):
                appeal = await decided(conn, done.appeal_id, outcome, because)
                assert appeal.decided.because == because


async def test_what_was_said_is_sealed_opened_by_who_reviews_and_written_down(conn):
    done = await lodged(conn, (await refused(conn)).token)
    sealed = await conn.scalar(text("SELECT sealed FROM cbi.appeal"))
    assert SAID.encode() not in sealed
    facts = {"vault": DESK.vault}
    for actor in (ALFA, CLERK, REVIEWER):
        await db.set_facts(conn, actor)
        with pytest.raises(NotTheReviewer):
            await appeals.read_statement(conn, done.appeal_id, who=who(actor), **facts)
    await taken(conn, done.appeal_id)
    said = await appeals.read_statement(conn, done.appeal_id, who=who(REVIEWER), **facts)
    assert said.said == SAID
    # The key itself is shown to who was asked last, and to nobody else.
    await taken(conn, done.appeal_id, staff(5, PARTNER_B, {"adjudicator"}))
    for actor, keys in ((REVIEWER, 0), (ALFA, 0), (staff(5, PARTNER_B, {"adjudicator"}), 1)):
        await db.set_facts(conn, actor)
        assert await conn.scalar(text("SELECT count(*) FROM cbi.appeal_key")) == keys
    await taken(conn, done.appeal_id)
    await db.set_facts(conn, staff(0, roles={"auditor"}))
    readings = await conn.execute(text("SELECT appeal_id, actor_id FROM cbi.appeal_reading"))
    assert readings.all() == [(done.appeal_id, REVIEWER.actor_id)]
    await decided(conn, done.appeal_id, "upheld")
    await db.set_facts(conn, db.WORKER)
    assert await lodge.erase_decided(conn, before=AT + timedelta(days=1)) == 1
    await db.set_facts(conn, REVIEWER)
    with pytest.raises(StatementErased):
        await appeals.read_statement(conn, done.appeal_id, who=who(REVIEWER), **facts)


async def test_lists_show_what_waits_what_is_late_and_whose_it_is(conn):
    first = await lodged(conn, (await refused(conn, 1)).token)
    second = await lodged(conn, (await refused(conn, 2)).token)
    third = await lodged(conn, (await refused(conn, 3)).token)
    await taken(conn, second.appeal_id)
    await taken(conn, third.appeal_id)
    await decided(conn, third.appeal_id)

    async def listed(**wanted):
        found = await appeals.list_appeals(conn, Wanted(**wanted), limit=10)
        return [each.appeal_id for each in found]

    ids = [first.appeal_id, second.appeal_id, third.appeal_id]
    assert await listed() == ids
    assert await listed(after=ids[0]) == ids[1:]
    for place, state in enumerate(("waiting", "assigned", "to_act")):
        assert await listed(state=state) == [ids[place]]
    assert await listed(state="decided") == await listed(state="done") == []
    assert await listed(overdue_on=DUE_ON) == []
    assert await listed(overdue_on=DUE_ON + timedelta(days=1)) == ids[:2]
    assert await listed(overdue_on=ACT_BY + timedelta(days=1)) == ids
    assert await listed(reviewer_partner_id=PARTNER_C) == ids[1:]
    assert await listed(reviewer_actor_id=REVIEWER.actor_id, state="assigned") == [ids[1]]
    assert await listed(reviewer_partner_id=PARTNER_B) == []
