"""What organisations and households hear of, when, and only who is to hear it."""

from datetime import timedelta

from sqlalchemy import text

from api import db
from api.messages import MESSENGER
from cbi import jobs, outbox
from cbi.disbursement import Step
from tests.cbi.appealing import DUE_ON, decided, forget, lodged, refused, taken
from tests.cbi.deciding import join
from tests.cbi.events import parted
from tests.cbi.follow import a_sent_round, came, reissued
from tests.cbi.overlapping import one
from tests.cbi.test_conflicts import two_promised
from tests.cbi.test_outbox import DAY, notices, swept
from tests.cbi.test_reserve import reserved
from tests.cbi.working import job_made, job_taken
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    PARTNER_B,
    PARTNER_C,
    PAYS_ON,
    TODAY,
    again,
    calculated,
    consent,
    enrolled_families,
    family,
    judged,
    opened,
    programme_of,
    registered,
    signed,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A

HOUR = timedelta(hours=1)


def reachable(seed, **more):
    """A family that agreed to be contacted."""
    return family(seed, consents=[*family(seed)["consents"], consent("contact")], **more)


async def persons(conn) -> list[tuple]:
    """Which households hear what, from whom."""
    found = await notices(conn, "person.%")
    return [(row[1].removeprefix("person."), row[0], row[4]["household_id"]) for row in found]


async def paid_told(conn, day, at=None) -> int:
    """Tell of released lists as the service does; returns how many pages there were."""
    await db.set_facts(conn, MESSENGER)
    pages = 0
    while await outbox.make_payment_notices(conn, today=day, at=at or AT + (day - TODAY)):
        pages += 1
    return pages


async def agree(conn, entitlements) -> list[str]:
    """Let the households of these payments agree to be contacted from now on."""
    await db.set_facts(conn, ALFA)
    for each in entitlements:
        await conn.execute(
            text(
                "INSERT INTO cbi.consent VALUES (:household_id, :partner_id, 'contact', true, '1',"
                " 'es', 'phone', :on, NULL, :at)"
            ),
            {
                "household_id": each.household_id,
                "partner_id": ALFA.partner_id,
                "on": TODAY,
                "at": AT,
            },
        )
    return [str(each.household_id) for each in entitlements]


async def test_a_household_that_agreed_hears_once_that_it_was_registered(conn):
    await registered(conn, family(1))
    heard = (await registered(conn, reachable(2))).household_id
    gone = (await registered(conn, reachable(3))).household_id
    await withdraw(conn, gone, "contact")
    await swept(conn)
    await swept(conn, TODAY + DAY)
    assert await persons(conn) == [("registered", PARTNER_A, str(heard))]
    # An answer that comes later is no registration.
    await swept(conn, TODAY + 9 * DAY)
    assert len(await persons(conn)) == 1


async def test_who_parts_from_a_household_is_not_told_that_it_was_registered(conn):
    whole = reachable(2, size=3)
    household_id = (await registered(conn, whole)).household_id
    part = reachable(7, persons=[{**whole["persons"][1], "relationship": "head"}])
    parted_off = await parted(conn, household_id, part, days=0)
    assert parted_off.household_id != household_id
    await swept(conn, TODAY + DAY)
    assert str(parted_off.household_id) not in {row[2] for row in await persons(conn)}


async def test_a_reservation_that_is_about_to_end_is_told_and_anew_when_it_was_renewed(conn):
    household_id = await one(conn, reachable(4))
    await reserved(conn, household_id)
    told = ("reservation", PARTNER_A, str(household_id))
    await swept(conn, TODAY + 10 * DAY)
    assert told not in await persons(conn)
    await swept(conn, TODAY + 11 * DAY)
    await swept(conn, TODAY + 12 * DAY)
    assert (await persons(conn)).count(told) == 1


async def test_a_released_list_is_told_once_when_its_day_has_come(conn):
    _, _, entitlements = await a_sent_round(conn)
    heard = await agree(conn, entitlements[:2])
    assert await paid_told(conn, TODAY) == 0
    assert await paid_told(conn, PAYS_ON) == 1
    assert await paid_told(conn, PAYS_ON) == 0
    assert sorted(await persons(conn)) == sorted(
        ("payment_ready", PARTNER_A, household_id) for household_id in heard
    )
    # The id of a household and its language, and no amount, programme or month.
    assert {frozenset(row[4]) for row in await notices(conn, "person.%")} == {
        frozenset({"household_id", "language"})
    }


async def test_a_list_is_not_told_long_after_its_day(conn):
    _, _, entitlements = await a_sent_round(conn)
    await agree(conn, entitlements)
    assert await paid_told(conn, PAYS_ON + 3 * DAY) == 0


async def test_a_payment_that_failed_is_told_as_failed_and_its_next_attempt_as_ready(conn):
    _, round_id, entitlements = await a_sent_round(conn)
    first, second, *_ = await agree(conn, entitlements)
    await came(conn, "rejected", entitlements[:1])
    await paid_told(conn, PAYS_ON)
    ready = {row[2] for row in await persons(conn) if row[0] == "payment_ready"}
    assert (first in ready, second in ready) == (False, True)
    await swept(conn)
    failed = [row[2] for row in await persons(conn) if row[0] == "payment_failed"]
    assert failed == [first]
    await reissued(conn, round_id)
    assert await paid_told(conn, PAYS_ON + 7 * DAY) == 1
    told = [row for row in await persons(conn) if row[2] == first]
    assert told.count(("payment_ready", PARTNER_A, first)) == 1


async def test_money_that_came_back_is_told_as_failed(conn):
    _, _, entitlements = await a_sent_round(conn)
    first, *_ = await agree(conn, entitlements)
    await came(conn, "delivered", entitlements[:1])
    await came(conn, "returned", entitlements[:1])
    await swept(conn)
    assert ("payment_failed", PARTNER_A, first) in await persons(conn)


async def test_who_waited_for_a_review_hears_that_it_is_over_and_the_other_does_not(conn):
    await registered(conn, reachable(6))
    receipt = await registered(conn, again(reachable(6)), BETA)
    await swept(conn)
    case_id = receipt.flags[0].case_id
    assert "review" not in {row[0] for row in await persons(conn)}
    await judged(conn, case_id, "different")
    await swept(conn)
    reviews = [row for row in await persons(conn) if row[0] == "review"]
    assert reviews == [("review", PARTNER_B, str(receipt.household_id))]


async def test_a_review_is_not_over_while_another_case_is_open(conn):
    await registered(conn, family(6))
    await registered(conn, again(family(6)), BETA)
    third = again(reachable(6), reference="R-3")
    receipt = await registered(conn, third, staff(0, PARTNER_C))
    flags = [flag.case_id for flag in receipt.flags if flag.case_id is not None]
    assert len(flags) == 2
    await db.set_facts(conn, staff(9, PARTNER_A, {"adjudicator"}))
    ours = await conn.scalar(
        text(
            "SELECT case_id FROM dedup.match_case WHERE :ours IN (partner_a, partner_b)"
            " AND case_id = ANY (:flags)"
        ),
        {"ours": PARTNER_A, "flags": flags},
    )
    await judged(conn, ours, "different", PARTNER_A, PARTNER_C)
    await swept(conn)
    assert "review" not in {row[0] for row in await persons(conn)}


async def test_conflicts_are_counted_for_organisations_with_a_coordinator(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    await db.set_facts(conn, db.SYSTEM)
    facts = {"actor": staff(7, PARTNER_B).actor_id, "partner": PARTNER_B, "at": AT}
    for statement in (
        "INSERT INTO cbi.actor VALUES (:actor, :partner, 'coordina', :at)",
        """INSERT INTO cbi.api_key VALUES (uuidv7(), 'c', sha256('c'), :actor,
           ARRAY['coordinator'], '', :at, CAST(:at AS timestamptz) + interval '30 days')""",
    ):
        await conn.execute(text(statement), facts)
    await swept(conn, cases_before=AT + HOUR)
    ((partner, _, _, _, body),) = await notices(conn, "conflicts.waiting")
    assert (partner, body) == (PARTNER_B, {"waiting": 1, "overdue": 1})


async def test_who_was_asked_to_review_hears_two_days_before_an_appeal_is_due(conn):
    done = await lodged(conn, (await refused(conn)).token)
    await forget(conn)
    await taken(conn, done.appeal_id)
    for day in (DUE_ON - 3 * DAY, DUE_ON - 2 * DAY, DUE_ON + DAY):
        await swept(conn, day)
    ((partner, _, about, day, body),) = await notices(conn, "appeals.due")
    assert (partner, about, day) == (PARTNER_C, done.appeal_id, DUE_ON - 2 * DAY)
    assert body == {"appeal_id": str(done.appeal_id), "due_on": DUE_ON.isoformat()}
    await decided(conn, done.appeal_id)
    await swept(conn, DUE_ON)
    assert len(await notices(conn, "appeals.due")) == 1


async def test_an_import_that_ended_is_told_to_whose_it_was(conn):
    made = await job_made(conn, BETA, kind="import-staging")
    other = await job_made(conn, BETA)
    for each in (made, other):
        taken_up = await job_taken(conn, each.job_id, kinds=("import-staging", "test-count"))
        await db.set_facts(conn, BETA)
        await jobs.begin(conn, taken_up, at=AT)
        await jobs.cancel(conn, each.job_id, partner_id=PARTNER_B, actor_id=BETA.actor_id, at=AT)
    await swept(conn)
    await swept(conn, TODAY + DAY)
    ((partner, _, about, _, body),) = await notices(conn, "import.ended")
    assert (partner, about) == (PARTNER_B, made.job_id)
    assert (body["work"], body["state"]) == ("import-staging", "cancelled")


async def test_a_check_that_will_not_count_much_longer_is_told_until_the_list_is_approved(conn):
    programme = await programme_of(conn)
    await enrolled_families(conn, programme, 2)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id, staff(0))
    await signed(conn, round_id, Step.PREPARED, staff(1))
    await swept(conn, at=AT + 17 * HOUR)
    assert await notices(conn, "round.check_old") == []
    await swept(conn, at=AT + 18 * HOUR)
    ((partner, _, about, _, _),) = await notices(conn, "round.check_old")
    assert (partner, about) == (PARTNER_A, round_id)
    for step, place in ((Step.REVIEWED, 2), (Step.APPROVED, 3)):
        await signed(conn, round_id, step, staff(place))
    await swept(conn, TODAY + DAY)
    assert len(await notices(conn, "round.check_old")) == 1


async def test_nobody_but_the_messenger_tells_of_payments(conn):
    _, _, entitlements = await a_sent_round(conn)
    await agree(conn, entitlements)
    for actor in (ALFA, db.SYSTEM, None):
        await db.set_facts(conn, actor)
        assert not await outbox.make_payment_notices(conn, today=PAYS_ON, at=AT + DAY)
    assert await persons(conn) == []
