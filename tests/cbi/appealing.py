"""Slips and appeals in the made-up world: ALFA refuses, BETA takes in, GAMA reviews."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock, db
from api.messages import MESSENGER
from cbi import appeals, lodge, outbox, own_texts, slips
from cbi.appeal import Appeal, Intake, Statement
from cbi.lodge import Days, Lodged
from cbi.own_text import NewText
from cbi.slip import NewSlip, Printed, reference_of, token_of
from cbi.slips import Fresh
from cbi.who import Who
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    PARTNER_B,
    PARTNER_C,
    TODAY,
    again,
    family,
    registered,
    staff,
)

UNTIL = TODAY + timedelta(days=90)
DUE_ON = TODAY + timedelta(days=14)
ACT_BY = TODAY + timedelta(days=21)
CLERK = staff(1, PARTNER_B, {"registrar"})
REVIEWER = staff(7, PARTNER_C, {"adjudicator"})
DAYS = Days(on=TODAY, due_on=DUE_ON)
SAID = "No somos esa familia."
_numbers = iter(range(1, 10**6))


def who(actor: db.Actor, at=AT) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=at)


def fresh() -> Fresh:
    number = next(_numbers)
    return Fresh(
        slip_id=clock.new_id(),
        reference=reference_of(number.to_bytes(5, "big")),
        token=token_of(number.to_bytes(20, "big")),
    )


async def slip_of(
    conn: AsyncConnection,
    household_id: UUID | None,
    asked: NewSlip | None = None,
    actor: db.Actor = ALFA,
    on=TODAY,
    at=AT,
) -> Printed:
    await db.set_facts(conn, actor)
    return await slips.issue(
        conn,
        asked or NewSlip(reason="family_assisted", assistance_group="mpca"),
        household_id=household_id,
        fresh=fresh(),
        on=on,
        until=on + timedelta(days=90),
        matching_key=DESK.matching_key,
        who=who(actor, at),
    )


async def refused(conn: AsyncConnection, seed: int = 1, **more) -> Printed:
    """Give the slip of a family that nobody knows."""
    receipt = await registered(conn, family(seed))
    return await slip_of(conn, receipt.household_id, **more)


async def lodged(
    conn: AsyncConnection,
    token: str,
    actor: db.Actor = CLERK,
    *,
    contact: bool = False,
    language="es",
    days: Days = DAYS,
    at=AT,
) -> Lodged:
    await db.set_facts(conn, actor)
    intake = Intake(
        language=language,
        channel="in_person",
        contact=contact,
        statement=Statement(said=SAID),
    )
    return await lodge.lodge_by_token(
        conn,
        token,
        intake,
        appeal_id=clock.new_id(),
        days=days,
        vault=DESK.vault,
        matching_key=DESK.matching_key,
        who=who(actor, at),
    )


async def forget(conn: AsyncConnection) -> None:
    """Forget which token was shown, as another transaction would."""
    await conn.execute(text("SELECT set_config('app.appeal_shown', '', true)"))


async def taken(
    conn: AsyncConnection, appeal_id: UUID, actor: db.Actor = REVIEWER, at=AT, **asked
) -> Appeal:
    """Let somebody take an appeal to review."""
    await db.set_facts(conn, actor)
    chosen = {"partner": None, "person": None, "is_coordinator": False} | asked
    return await appeals.assign(conn, appeal_id, who=who(actor, at), **chosen)


async def decided(
    conn: AsyncConnection,
    appeal_id: UUID,
    outcome: str = "reversed",
    because: str = "",
    actor: db.Actor = REVIEWER,
    at=AT,
) -> Appeal:
    reasons = {"reversed": "another_family", "upheld": "evidence_stands"}
    await db.set_facts(conn, actor)
    return await appeals.decide(
        conn,
        appeal_id,
        outcome=outcome,
        because=because or reasons[outcome],
        new_case_id=clock.new_id(),
        act_by=ACT_BY,
        who=who(actor, at),
    )


async def case_of(conn: AsyncConnection, seed: int = 1) -> tuple[UUID, UUID]:
    """Register one family at ALFA and BETA; return ALFA's household and the case."""
    ours = await registered(conn, family(seed))
    theirs = await registered(conn, again(family(seed)), BETA)
    return ours.household_id, theirs.flags[0].case_id


# What test_rls.py knows of these tables: what the doors read and write of them, who may not.
DOORS = {"cbi.lodge_appeal", "cbi.appealed", "cbi.reverse_appealed", "cbi.appeal_counts"} | {
    "cbi.make_notices",
    "cbi.make_turn_notices",
    "cbi.make_payment_notices",
    "cbi.texts_of_notices",
    "cbi.claim_notices",
    "cbi.erase_decided_appeals",
    "cbi.stop_counts",
}
# They look things up by indexes, whatever the planner believes.
BY_INDEX = {"cbi.lodge_appeal", "cbi.reverse_appealed", "cbi.check_appeal_reviewer"}
TRIGGERS = {"cbi.check_appeal_reviewer", "cbi.check_reversal", "cbi.erase_elsewhere"}
TRIGGERS |= {"cbi.queue_notices", "cbi.follow_delivery"}
# Of what is still to be told; what was is in deliveries.
LIVING = {"cbi.notice_due"}
DOORS_READ = {
    "cbi.message_text": "contact effective_from kind language open_to partner_id previous"
    " proposed_at proposed_by text_id version words",
    "cbi.message_text_approval": "approved_at approved_by partner_id proposed_by text_id",
    "cbi.chunk": "after_payment chunk_no list_digest round_id upto_payment",
    "cbi.entitlement": "cancelled_at partner_id",
    "cbi.followup": "followup_id pays_on",
    "cbi.followup_payment": "followup_id household_id payment_id",
    "cbi.followup_step": "at followup_id partner_id step",
    "cbi.household": "registered_at",
    "cbi.job": "job_id kind partner_id subject_id",
    "cbi.job_end": "ended_at job_id state",
    "cbi.notice_due": "due_at notice_id partner_id",
    "cbi.notice_page": "list_id made_at page_no partner_id",
    "cbi.round": "pays_on round_id",
    "cbi.round_check_page": "begun_at check_no is_last round_id",
    "cbi.round_step": "at list_digest partner_id round_id step",
    "dedup.decision": "decided_at",
    "ledger.attempt": "attempt_no payment_id",
    "ledger.giveback": "attempt_no payment_id recorded_at",
    "ledger.outcome": "attempt_no decided_at outcome payment_id",
    "cbi.delivery": "attempt_no began_at lease_until notice_id partner_id previous webhook_id",
    "cbi.delivery_slot": "day household_id notice_id partner_id slot_no",
    "cbi.delivery_end": "again_at attempt_no ended_at notice_id partner_id status why",
    "cbi.notice": "about body day kind made_at notice_id partner_id",
    "cbi.webhook": "added_at added_by kek_id partner_id url webhook_id wrapped",
    "cbi.webhook_end": "because ended_at partner_id webhook_id",
    "cbi.appeal": "appeal_id by_token channel contact due_on intake_partner_id language"
    " partner_id sealed slip_id taken_at taken_by",
    "cbi.appeal_assignment": "appeal_id assigned_at assigned_by assignment_no partner_id"
    " reviewer_actor_id reviewer_partner_id",
    "cbi.appeal_key": "appeal_id",
    "cbi.appeal_done": "actor_id appeal_id done_at household_id kind partner_id what",
    "cbi.appeal_effect": "act_by appeal_id begun_at case_id entitles_to kind partner_id reverses",
    "cbi.appeal_outcome": "appeal_id assignment_no because decided_at outcome partner_id"
    " reverses reviewer_actor_id reviewer_partner_id",
    "cbi.slip": "appeal_until assistance_group case_id enrolment_id household_id is_block"
    " issued_at issued_by issued_on of_whom partner_id reason reference round_id slip_id",
    "cbi.slip_group": "document_group language slip_id",
    "cbi.slip_print": "digest partner_id previous print_no printed_at printed_by slip_id",
    "dedup.case_pair": "case_id evidence model_id person_a person_b probability weight_bits",
    "dedup.judgement": "actor_id case_id judgement_id partner_id supersedes",
    "dedup.match_case": "case_id household_a household_b model_id opened_at opened_by partner_a"
    " partner_b reason reopens strength_bits why",
    "dedup.scoring": "case_id model_id scoring_no strength_bits",
}
# A reversal opens its case anew.
DOORS_WRITE = {"cbi.appeal", "cbi.appeal_effect", "cbi.appeal_key", "dedup.match_case"} | {
    "dedup.case_pair",
    "cbi.notice",
    "cbi.delivery",
    "cbi.delivery_slot",
    "cbi.notice_page",
    "cbi.notice_due",
}
CLOSED = {"cbi.appeal", "cbi.appeal_effect", "cbi.appeal_key", "cbi.notice", "cbi.delivery"}
CLOSED |= LIVING | {"cbi.delivery_slot", "cbi.notice_page"}
# The figures alone read the group of documents, and the reviewer's organisation what was said.
WRITTEN_ONLY = {"cbi.slip_group", "cbi.appeal_key", "cbi.delivery_slot", "cbi.notice_page"}


async def a_whole_appeal(conn: AsyncConnection) -> None:
    """A refusal of partner A, which took the appeal in itself; it was reversed and acted on."""
    household_id = (await registered(conn, family(70))).household_id
    asked = NewSlip(reason="overlap", document_group="other")
    printed = await slip_of(conn, household_id, asked)
    await lodge.claim_try(
        conn, tries_per_day=9, on=TODAY, opens_again_at=AT, partner_id=ALFA.partner_id, at=AT
    )
    done = await lodged(conn, printed.token, staff(1, roles={"registrar"}))
    reviewer = staff(7, PARTNER_B, {"adjudicator"})
    await taken(conn, done.appeal_id, reviewer)
    await decided(conn, done.appeal_id, actor=reviewer)
    await appeals.read_statement(conn, done.appeal_id, vault=DESK.vault, who=who(reviewer))
    await forget(conn)
    await told(conn)
    await appeals.act(conn, done.appeal_id, what="paid", who=who(ALFA))
    reading = text("INSERT INTO cbi.appeal_reading (appeal_id, at) VALUES (:id, now())")
    await conn.execute(reading, {"id": done.appeal_id})


async def told(conn: AsyncConnection) -> None:
    """Tell partner A once, in vain, and let it close its webhook."""
    webhook_id = clock.new_id()
    await db.set_facts(conn, ALFA)
    await outbox.add_webhook(
        conn,
        "https://hooks.example/a",
        webhook_id=webhook_id,
        local=False,
        vault=DESK.vault,
        who=who(ALFA),
    )
    new = NewText(kind="person.turn", language="es", words="Hay un aviso.", effective_from=TODAY)
    own = await own_texts.propose(conn, new, text_id=clock.new_id(), who=who(ALFA))
    other = staff(1, roles={"admin"})
    await db.set_facts(conn, other)
    await own_texts.approve(conn, own.text_id, who=who(other))
    await db.set_facts(conn, MESSENGER)
    await outbox.make_notices(conn, today=TODAY, cases_before=AT, at=AT)
    claimed = await outbox.claim(conn, at=AT, most=100)
    tries = [(each, outbox.Tried(why="timeout")) for each in claimed]
    await outbox.note(conn, tries, at=AT)
    await db.set_facts(conn, ALFA)
    await outbox.close_webhook(conn, webhook_id, who=who(ALFA))
