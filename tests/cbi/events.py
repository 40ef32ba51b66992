"""What happens to families of the made-up world after they were registered."""

from datetime import date, datetime, timedelta

from sqlalchemy import text

from api import db
from cbi import asked, household, transfer
from cbi.amend import amend
from cbi.event import Happened
from cbi.merge import merge
from cbi.persons import join, leave
from cbi.split import split
from cbi.who import Who
from cbi.withdraw import erase, withdraw
from tests.cbi.world import ALFA, AT, BETA, DESK, consent, family

# What the service may change: by an event only, which keeps what stood before.
BY_EVENT = {
    ("cbi.household", "UPDATE", column)
    for column in ("content_key", "ended_at", "population_type", "sealed", "size", "ubigeo")
} | {("cbi.person", "UPDATE", column) for column in ("gone", "sealed")}
BY_EVENT |= {(f"cbi.{table}", "UPDATE", "version") for table in ("household", "person")}


def days_later(days: int) -> datetime:
    return AT + timedelta(days=days)


def facts_of(who: db.Actor, days: int) -> dict:
    return {"partner_id": who.partner_id, "actor_id": who.actor_id, "at": days_later(days)}


def day(days: int) -> date:
    return days_later(days).date()


async def amended(conn, household_id, raw, who=ALFA, *, reason="changed", days=1, **more):
    await db.set_facts(conn, who, request_id="request-4")
    return await amend(
        conn,
        household_id,
        household.read(raw, today=day(days)),
        desk=DESK,
        reason=reason,
        area=who.area,
        today=day(days),
        **facts_of(who, days),
        **more,
    )


async def joined(conn, household_id, persons, who=ALFA, *, reason="born", days=1):
    await db.set_facts(conn, who, request_id="request-4")
    return await join(
        conn,
        household_id,
        asked.read({"persons": persons}, today=day(days)),
        Happened(kind="joined", reason=reason, on=day(days)),
        desk=DESK,
        who=Who(**facts_of(who, days)),
        today=day(days),
    )


async def gone(conn, household_id, person_ids, who=ALFA, *, kind="left", days=1, note=""):
    await db.set_facts(conn, who, request_id="request-4")
    reason = "died" if kind == "deceased" else "moved_out"
    return await leave(
        conn,
        household_id,
        person_ids,
        Happened(kind=kind, reason=reason, on=day(days), note=note),
        desk=DESK,
        who=Who(**facts_of(who, days)),
        today=day(days),
    )


async def withdrawn(conn, household_id, kind, who=ALFA, *, days=1):
    await db.set_facts(conn, who, request_id="request-4")
    await withdraw(
        conn,
        household_id,
        kind,
        on=day(days),
        desk=DESK,
        who=Who(**facts_of(who, days)),
        today=day(days),
    )


async def erased(conn, household_id, who=ALFA, *, days=2):
    await db.set_facts(conn, who, request_id="request-4")
    facts = Who(**facts_of(who, days))
    await erase(conn, household_id, desk=DESK, who=facts, today=day(days))


async def happened_to(conn, household_id) -> list[tuple]:
    """Version, kind, reason, how many came and went."""
    rows = await conn.execute(
        text(
            "SELECT version, kind, reason, persons_in, persons_out FROM cbi.household_event"
            " WHERE household_id = :id ORDER BY version"
        ),
        {"id": household_id},
    )
    return [tuple(row) for row in rows]


async def standing(conn, household_id):
    """The household's row."""
    found = await conn.execute(
        text("SELECT * FROM cbi.household WHERE household_id = :id"), {"id": household_id}
    )
    return found.one()


def alone(raw, place: int, seed: int):
    """The form by which one person of a family registers by himself."""
    same = ("given_names", "surnames", "birth_date", "sex", "documents")
    form = family(seed, size=1)
    form["persons"][0] |= {name: raw["persons"][place][name] for name in same}
    return form


async def offered(conn, household_id, to="BETA", who=ALFA, *, days=1):
    await db.set_facts(conn, who, request_id="request-4")
    facts = Who(**facts_of(who, days))
    return await transfer.offer(
        conn, household_id, to_partner=to, desk=DESK, who=facts, today=day(days)
    )


async def accepted(conn, offer_id, who=BETA, *, reference="B-1", days=2):
    await db.set_facts(conn, who, request_id="request-4")
    return await transfer.accept(
        conn,
        offer_id,
        reference=reference,
        desk=DESK,
        who=Who(**facts_of(who, days)),
        area=who.area,
        today=day(days),
    )


async def refused(conn, offer_id, who=BETA, *, days=2):
    await db.set_facts(conn, who, request_id="request-4")
    return await transfer.refuse(conn, offer_id, who=Who(**facts_of(who, days)))


def referable(seed: int, **more):
    """A family that agrees to be handed over."""
    raw = family(seed, **more)
    return raw | {"consents": [*raw["consents"], consent("referral")]}


async def parted(conn, household_id, form, who=ALFA, *, days=1, note=""):
    await db.set_facts(conn, who, request_id="request-4")
    return await split(
        conn,
        household_id,
        household.read(form, today=day(days)),
        desk=DESK,
        who=Who(**facts_of(who, days)),
        area=who.area,
        today=day(days),
        on=day(days),
        note=note,
    )


async def merged(conn, household_id, other_id, who=ALFA, *, days=1):
    await db.set_facts(conn, who, request_id="request-4")
    return await merge(
        conn,
        household_id,
        other_id,
        on=day(days),
        desk=DESK,
        who=Who(**facts_of(who, days)),
        today=day(days),
    )


def of_their_own(raw, places, seed: int):
    """The form of a household of their own for some persons of a family, the first its head."""
    persons = [raw["persons"][place] | {"relationship": "child"} for place in places]
    persons[0] = persons[0] | {"relationship": "head"}
    return family(seed) | {"persons": persons}


# What the tests of rights expect of this.
DOORS = {f"cbi.{name}" for name in ("gone_of", "hand_over", "offered", "offered_consents")}
DOORS |= {"cbi.accept_offer"}
DOORS |= {f"cbi.{name}" for name in ("succeed", "carry_promises", "promise_stands")}
DOORS |= {"cbi.promised_before_split", "dedup.drop"}
DOORS |= {f"cbi.{name}" for name in ("let_go_erased", "release_retained", "retain")}
DOORS |= {"cbi.retained_until"}
READ_BY_DOORS = {
    "cbi.entitlement": "assistance_group cancelled_at entitlement_id household_id kind months"
    " round_id",
    "cbi.household": "ended_at household_id partner_id population_type sealed size ubigeo version",
    "cbi.household_event": "event_id household_id kind other_household_id partner_id"
    " transaction_no version",
    "cbi.person": "gone household_id ordinal partner_id person_id sealed",
    "cbi.person_succession": "person_id successor_id",
    "cbi.person_version": "person_id",
    "cbi.retained": "household_id keys partner_id person_id since stands_for",
    "cbi.specific_need": "person_id",
    "cbi.split_promise": "assistance_group entitlement_id household_id kind months partner_id",
    "cbi.succession": "event_id household_a household_b",
    "cbi.transfer_answer": "answer offer_id to_partner_id transaction_no",
    "cbi.transfer_offer": "expires_at offer_id offered_at partner_id size text_version"
    " to_partner_id ubigeo",
    "dedup.case_pair": "case_id person_a person_b",
    "dedup.match_case": "case_id household_a household_b partner_a partner_b reopens",
}
HIDDEN = {"cbi.retained", "cbi.split_promise", "cbi.succession"}
WRITTEN_BY_DOORS = HIDDEN | {"cbi.data_key"}
WRITTEN_BY_DOORS |= {
    f"cbi.{name}"
    for name in ("household_event", "household_version", "person_version", "transfer_answer")
}
# No household was handed over or parted.
NOTHING_MOVED = {f"cbi.{name}" for name in ("split_promise", "succession", "transfer_answer")}
NOTHING_MOVED |= {"cbi.transfer_offer", "cbi.person_succession"}
