"""Enrolment asks the rules; where they don't know, one person decides and another enrols."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi import eligible, scores
from cbi.refusal import NotFound
from cbi.scores import Score
from cbi.term import day_of
from cbi.term_refusal import (
    EligibilityUnknown,
    NoRules,
    NotEligible,
    OverriddenByEnroller,
    OverrideStands,
    OverrideUnfit,
)
from tests.cbi.agreed import agreed, entered, who_of
from tests.cbi.deciding import insert_enrolment
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    count,
    enrolled,
    erase,
    family,
    programme_of,
    registered,
    staff,
)

LARGE = {"rule": {"fact": "size", "is": ">=", "value": 3}}
STAYS = {"rule": {"fact": "intention", "is": "=", "value": "stay"}}
DISABLED = {"rule": {"fact": "specific_needs", "is": "has", "value": "disability"}}
SCORED = {"rule": {"fact": "score", "model": "smep", "version": "2", "is": ">=", "value": 40}}


async def ruled(conn, raw):
    programme = await programme_of(conn)
    await agreed(conn, programme, "eligibility", raw, ALFA)
    return programme


async def home(conn, seed: int = 1, **more):
    return (await registered(conn, family(seed, **more))).household_id


async def asked(conn, programme, *household_ids, who=ALFA):
    await db.set_facts(conn, who, request_id="request-5")
    return await eligible.ask(
        conn,
        programme_id=programme.programme_id,
        household_ids=household_ids,
        vault=DESK.vault,
        on=day_of(AT),
    )


async def decided(conn, programme, household_id, who):
    await db.set_facts(conn, who)
    return await eligible.override(
        conn,
        override_id=clock.new_id(),
        programme_id=programme.programme_id,
        household_id=household_id,
        because="home_visit",
        vault=DESK.vault,
        who=who_of(who),
    )


async def scored(conn, household_id, value, *, who=ALFA, version="2"):
    await db.set_facts(conn, who)
    one = Score(
        household_id=household_id,
        model="smep",
        model_version=version,
        score=value,
        components={"rent": 10.5, "food": value - 10.5},
        scored_by=who.actor_id,
        scored_at=AT,
    )
    return await scores.add(conn, one, who=who_of(who))


async def test_who_does_not_meet_the_rules_is_not_enrolled_and_told_why(conn):
    programme = await ruled(conn, LARGE)
    small, large = await home(conn, 1, size=2), await home(conn, 2, size=3)
    with pytest.raises(NotEligible) as refused:
        await enrolled(conn, programme, small)
    assert (refused.value.household_id, refused.value.rules_version) == (small, 1)
    assert [each.en for each in refused.value.reasons] == ["Not met: household size at least 3"]
    await enrolled(conn, programme, large)
    stored = await conn.execute(
        text("SELECT household_id, rules_version, verdict FROM cbi.eligibility_answer")
    )
    assert stored.one() == (large, 1, "yes")


async def test_the_database_itself_wants_an_answer_of_the_rules_that_count(conn):
    programme = await ruled(conn, LARGE)
    household_id = await home(conn, size=3)
    for _ in range(2):
        with pytest.raises(DBAPIError, match="has no answer of the rules"):
            async with conn.begin_nested():
                await insert_enrolment(conn, programme, household_id, household_id, ALFA)
        # Rules that nobody approved change nothing.
        await entered(conn, programme, "eligibility", STAYS, ALFA)
    await enrolled(conn, programme, household_id)


async def test_without_rules_everybody_may_be_enrolled_and_asking_is_refused(conn):
    programme = await programme_of(conn)
    household_id = await home(conn)
    await enrolled(conn, programme, household_id)
    assert await count(conn, "cbi.eligibility_answer") == 0
    with pytest.raises(NoRules):
        await asked(conn, programme, household_id)


async def test_what_is_missing_goes_to_a_person_and_another_one_enrols(conn):
    programme = await ruled(conn, STAYS)
    household_id = await home(conn)
    with pytest.raises(EligibilityUnknown) as refused:
        await enrolled(conn, programme, household_id)
    (reason,) = refused.value.reasons
    assert (reason.fact, reason.is_known) == ("intention", False)
    await decided(conn, programme, household_id, ALFA)
    with pytest.raises(OverrideStands):
        await decided(conn, programme, household_id, staff(1))
    with pytest.raises(OverriddenByEnroller):
        await enrolled(conn, programme, household_id, ALFA)
    await enrolled(conn, programme, household_id, staff(1))
    stored = await conn.execute(
        text("SELECT verdict, overridden_by, asked_by FROM cbi.eligibility_answer")
    )
    assert stored.one() == ("overridden", ALFA.actor_id, staff(1).actor_id)


async def test_a_no_and_a_yes_are_nobodys_to_override(conn):
    programme = await ruled(conn, LARGE)
    for seed, size, verdict in ((1, 2, "no"), (2, 3, "yes")):
        with pytest.raises(OverrideUnfit) as refused:
            await decided(conn, programme, await home(conn, seed, size=size), ALFA)
        assert refused.value.verdict == verdict


async def test_an_override_is_of_the_rules_it_was_said_under(conn):
    programme = await ruled(conn, STAYS)
    household_id = await home(conn)
    await decided(conn, programme, household_id, staff(1))
    await agreed(conn, programme, "eligibility", STAYS, ALFA)
    with pytest.raises(EligibilityUnknown):
        await enrolled(conn, programme, household_id)


async def test_needs_are_known_to_who_may_read_them_only(conn):
    programme = await ruled(conn, DISABLED)
    needy = family(3)
    needy["persons"][1]["specific_needs"] = ["disability", "gbv_survivor"]
    with_need, without = (await registered(conn, needy)).household_id, await home(conn, 4)
    answers = await asked(conn, programme, with_need, without)
    assert [each.answer.verdict for each in answers] == ["yes", "no"]
    officer = staff(2, roles={"programme"})
    answers = await asked(conn, programme, with_need, without, who=officer)
    assert [each.answer.verdict for each in answers] == ["unknown", "unknown"]
    await db.set_facts(conn, ALFA)
    await erase(conn, without)
    (gone,) = await asked(conn, programme, without)
    assert gone.answer.verdict == "unknown"


async def test_only_what_the_rules_ask_for_is_opened_and_that_is_logged(conn):
    household_id = await home(conn)
    logged = "SELECT count(*) FROM cbi.access_log WHERE purpose = 'eligibility'"
    auditor = staff(5, roles={"auditor"})
    for raw, many in ((LARGE, 0), (STAYS, 1)):
        programme = await ruled(conn, raw)
        await asked(conn, programme, household_id)
        await db.set_facts(conn, auditor)
        assert await conn.scalar(text(logged)) == many


async def test_a_score_counts_by_its_model_and_version_and_the_newest_is_taken(conn):
    programme = await ruled(conn, SCORED)
    household_id = await home(conn)
    verdicts = []
    for version, value in ((None, 0), ("1", 90), ("2", 50), ("2", 39.5)):
        if version is not None:
            await scored(conn, household_id, value, version=version)
        (one,) = await asked(conn, programme, household_id)
        verdicts.append(one.answer.verdict)
    assert verdicts == ["unknown", "unknown", "yes", "no"]
    kept = await scores.load_scores(conn, household_id, after=0, limit=10)
    assert [each.score for _, each in kept] == [90, 50, 39.5]
    assert kept[0][1].components == {"rent": 10.5, "food": 79.5}


async def test_scores_are_only_added_to_and_nobody_elses(conn):
    household_id = await home(conn)
    await scored(conn, household_id, 40)
    with pytest.raises(NotFound):
        await scored(conn, household_id, 1, who=BETA)
    for who in (BETA, staff(3, BETA.partner_id, {"auditor", "admin", "adjudicator"})):
        await db.set_facts(conn, who)
        assert await count(conn, "cbi.score") == 0
        with pytest.raises(NotFound):
            await scores.load_scores(conn, household_id, after=0, limit=10)
    await db.set_facts(conn, ALFA)
    for change in ("UPDATE cbi.score SET score = 1", "DELETE FROM cbi.score"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with conn.begin_nested():
                await conn.execute(text(change))


async def test_another_partners_household_is_not_found_and_its_programme_has_no_rules(conn):
    programme = await ruled(conn, LARGE)
    theirs = (await registered(conn, family(9), BETA)).household_id
    with pytest.raises(NotFound):
        await asked(conn, programme, theirs)
    with pytest.raises(NoRules):
        await asked(conn, programme, theirs, who=BETA)


async def test_rules_count_from_their_day_on(conn):
    programme = await programme_of(conn)
    tomorrow = day_of(AT) + timedelta(days=1)
    await agreed(conn, programme, "eligibility", LARGE, ALFA, since=tomorrow)
    await enrolled(conn, programme, await home(conn, size=1))
