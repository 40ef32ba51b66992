"""A small made-up world: three partners, families that look like nobody else, one programme."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock, db
from cbi import calculate, cancel, disburse, enrol, fund, household, release
from cbi.account import cci
from cbi.adjudicate import adjudicate
from cbi.calculate import Calculated
from cbi.disburse import CHUNK_MAX
from cbi.disbursement import Progress, Round, Signed, Step
from cbi.enrol import Enrolment, Programme
from cbi.payout import Keys
from cbi.register import Desk, Receipt, register
from cbi.vault import Vault
from dedup.judge import Said
from dedup.model import load
from ledger.money import Money
from tests.cbi.agreed import valued
from tests.cbi.rechecking import list_checked, may_be_checked
from tests.conftest import PARTNER_A, PARTNER_B

PARTNER_C = UUID("00000000-0000-4000-8000-00000000000c")
PARTNERS = {"ALFA": PARTNER_A, "BETA": PARTNER_B, "GAMA": PARTNER_C}
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
TODAY = date(2026, 6, 1)
FIRST, END, PAYS_ON = date(2026, 7, 1), date(2026, 8, 1), date(2026, 6, 2)
DESK = Desk(
    vault=Vault({"test": b"k" * 32}), matching_key=b"m" * 32, model=load(), new_id=clock.new_id
)
KEYS = Keys(vault=DESK.vault, matching_key=DESK.matching_key)
STAFF_ROLES = frozenset({"registrar", "programme", "finance", "coordinator"})
SYLLABLES = [first + second for first in "bdfglmnprst" for second in ("a", "e", "i", "o", "u")]


def staff(place: int = 0, partner_id: UUID = PARTNER_A, roles=STAFF_ROLES, area="") -> db.Actor:
    """The person number `place` of a partner: always the same one."""
    return db.Actor(
        actor_id=uuid5(partner_id, str(place)),
        partner_id=partner_id,
        partner_code="test",
        roles=frozenset(roles),
        area=area,
    )


ALFA, BETA, GAMA = (staff(0, partner_id) for partner_id in PARTNERS.values())


def word(rng: random.Random) -> str:
    return "".join(rng.sample(SYLLABLES, 4)).capitalize()


def person(rng: random.Random, **more) -> dict[str, object]:
    born = date(rng.randint(1950, 2005), rng.randint(1, 12), rng.randint(2, 28))
    number = f"V{rng.randint(10_000_000, 29_999_999)}"
    return {
        "given_names": f"{word(rng)} {word(rng)}",
        "surnames": f"{word(rng)} {word(rng)}",
        "birth_date": born.isoformat(),
        "sex": rng.choice("FM"),
        "nationality": "VEN",
        "documents": [{"type": "ve-cedula", "number": number}],
        **more,
    }


def consent(kind: str, *, granted: bool = True) -> dict[str, object]:
    return {
        "kind": kind,
        "granted": granted,
        "text_version": "2026-1",
        "language": "es",
        "channel": "in_person",
        "given_on": "2026-02-03",
    }


def family(seed: int, *, size: int = 2, duplicate_check: bool = True, **more) -> dict[str, object]:
    """The form of family number `seed`; another seed is somebody else altogether."""
    rng = random.Random(seed)
    head = person(rng, relationship="head", phones=[f"9{rng.randint(20_000_000, 89_999_999)}"])
    return {
        "reference": f"REF-{seed:06}-X",
        "registered_on": "2026-02-03",
        "ubigeo": "240101",
        "population_type": "in_destination",
        "instrument": {
            "kind": "bank_account",
            "bank": "011",
            "account": cci(bank_and_office="011366", account=f"{rng.randint(1, 10**12 - 1):012}"),
        },
        "consents": [
            consent("registration"),
            consent("fsp"),
            consent("duplicate_check", granted=duplicate_check),
        ],
        "persons": [head, *(person(rng, relationship="child") for _ in range(size - 1))],
        **more,
    }


def again(raw: dict[str, object], **more) -> dict[str, object]:
    """The same family as another clerk would write it, under another reference."""
    copy = deepcopy(raw)
    return copy | {"reference": f"{raw['reference']}-again"} | more


async def add_partners(conn: AsyncConnection) -> None:
    await db.set_facts(conn, db.SYSTEM)
    for code, partner_id in PARTNERS.items():
        await conn.execute(
            text(
                "INSERT INTO cbi.partner (partner_id, code, name, contact, added_at)"
                " VALUES (:partner_id, :code, :code, :contact, :at) ON CONFLICT DO NOTHING"
            ),
            {"partner_id": partner_id, "code": code, "contact": f"ask@{code}.example", "at": AT},
        )


async def registered(
    conn: AsyncConnection, raw: Mapping[str, object], who: db.Actor = ALFA, desk: Desk = DESK
) -> Receipt:
    await db.set_facts(conn, who, request_id="request-1")
    return await register(
        conn,
        household.read(raw, today=TODAY),
        desk=desk,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        area=who.area,
        at=AT,
        today=TODAY,
    )


async def programme_of(
    conn: AsyncConnection,
    who: db.Actor = ALFA,
    *,
    grant: int = 10_000_000,
    group: str = "mpca",
    values_from: date = date(2026, 1, 1),
    payer_account: str = "01136600010003254221",
) -> Programme:
    """A programme with values for sizes 1 to 3 and some money."""
    await db.set_facts(conn, who)
    facts = {"partner_id": who.partner_id, "at": AT}
    programme = Programme(
        programme_id=clock.new_id(),
        code=f"P{clock.new_id().hex[-12:].upper()}",
        name="Winter",
        assistance_group=group,
        currency="PEN",
        payer_name="Alfa",
        payer_agent="MOCK",
    )
    await enrol.open_programme(
        conn,
        programme,
        payer_account=payer_account,
        vault=DESK.vault,
        matching_key=DESK.matching_key,
        **facts,
    )
    by_size = {1: 10_000, 2: 15_000, 3: 20_000}
    await valued(conn, programme, by_size, effective_from=values_from, who=who)
    if grant:
        await funded(conn, programme, grant, who)
    return programme


async def funded(
    conn: AsyncConnection, programme: Programme, amount_minor: int, who: db.Actor = ALFA
) -> UUID:
    await db.set_facts(conn, who)
    booked = await fund.deposit(
        conn,
        programme_id=programme.programme_id,
        money=Money(amount_minor=amount_minor, currency="PEN"),
        deposit_id=clock.new_id(),
        of_grant=None,
        on=TODAY,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )
    return booked.transfer_id


async def enrolled(
    conn: AsyncConnection, programme: Programme, household_id: UUID, who: db.Actor = ALFA
) -> Enrolment:
    await db.set_facts(conn, who, request_id="request-2")
    return await enrol.enrol(
        conn,
        programme_id=programme.programme_id,
        household_id=household_id,
        enrolment_id=clock.new_id(),
        vault=DESK.vault,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )


async def opened(
    conn: AsyncConnection,
    programme: Programme,
    who: db.Actor = ALFA,
    *,
    first: date = FIRST,
    end: date = END,
) -> Round:
    await db.set_facts(conn, who)
    wanted = Round(
        round_id=clock.new_id(),
        programme_id=programme.programme_id,
        name=f"round {clock.new_id()}",
        first_month=first,
        end_month=end,
        pays_on=PAYS_ON,
    )
    return await disburse.open_round(
        conn, wanted, partner_id=who.partner_id, actor_id=who.actor_id, at=AT
    )


async def calculated(
    conn: AsyncConnection, round_id: UUID, who: db.Actor = ALFA, *, chunk_max: int = CHUNK_MAX
) -> Calculated:
    """Calculate to the end, page by page in one transaction."""
    made: Calculated | Progress | None = None
    while not isinstance(made, Calculated):
        made = await calculated_once(conn, round_id, who, chunk_max=chunk_max)
    return made


async def calculated_once(
    conn: AsyncConnection, round_id: UUID, who: db.Actor = ALFA, **more: int
) -> Calculated | Progress:
    await db.set_facts(conn, who)
    return await calculate.calculate(
        conn,
        round_id=round_id,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
        vault=DESK.vault,
        **more,
    )


async def signed(conn: AsyncConnection, round_id: UUID, step: Step, who: db.Actor) -> Signed:
    """Sign, after what preparing does before it signs."""
    await db.set_facts(conn, who)
    if step is Step.PREPARED and await may_be_checked(conn, round_id):
        await list_checked(conn, round_id, who, desk=DESK, at=AT)
    return await disburse.sign(
        conn,
        round_id=round_id,
        step=step,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )


async def released(
    conn: AsyncConnection,
    round_id: UUID,
    who: db.Actor | None = None,
    *,
    chunk_max: int = CHUNK_MAX,
) -> Signed:
    """Release to the end, piece by piece in one transaction."""
    done: Signed | Progress | None = None
    while not isinstance(done, Signed):
        done = await released_once(conn, round_id, who, chunk_max=chunk_max)
    return done


async def released_once(
    conn: AsyncConnection, round_id: UUID, who: db.Actor | None = None, **more: int
) -> Signed | Progress:
    who = who or staff(4)
    await db.set_facts(conn, who, request_id="request-3")
    return await release.release(
        conn,
        round_id=round_id,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
        keys=KEYS,
        **more,
    )


async def cancelled(
    conn: AsyncConnection, round_id: UUID, entitlement_id: UUID, who: db.Actor = ALFA
) -> None:
    await db.set_facts(conn, who)
    await cancel.cancel(
        conn,
        round_id=round_id,
        entitlement_id=entitlement_id,
        because="moved_away",
        actor_id=who.actor_id,
        at=AT,
    )


async def approved(conn: AsyncConnection, round_id: UUID, partner_id: UUID = PARTNER_A) -> None:
    """Calculate and sign up to the approval, each step by somebody else."""
    await calculated(conn, round_id, staff(0, partner_id))
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED, Step.APPROVED), start=1):
        await signed(conn, round_id, step, staff(place, partner_id))


async def enrolled_families(
    conn: AsyncConnection,
    programme: Programme,
    count: int,
    *,
    seed: int = 1,
    who: db.Actor = ALFA,
    **more,
) -> list[UUID]:
    household_ids = []
    for place in range(count):
        receipt = await registered(conn, family(seed + place, size=1 + place % 4, **more), who)
        assert receipt.status == "clear"
        await enrolled(conn, programme, receipt.household_id, who)
        household_ids.append(receipt.household_id)
    return household_ids


async def withdraw(conn: AsyncConnection, household_id: UUID, kind: str = "fsp", who=ALFA) -> None:
    await db.set_facts(conn, who)
    await conn.execute(
        text(
            "INSERT INTO cbi.consent (household_id, partner_id, kind, granted, text_version,"
            " language, channel, given_on, withdrawn_on, recorded_at)"
            " VALUES (:household_id, :partner_id, :kind, true, '1', 'es', 'phone', :on, :on, now())"
        ),
        {"household_id": household_id, "partner_id": who.partner_id, "kind": kind, "on": TODAY},
    )


async def erase(conn: AsyncConnection, household_id: UUID, who: db.Actor = ALFA) -> None:
    await db.set_facts(conn, who)
    result = await conn.execute(
        text("DELETE FROM cbi.data_key WHERE household_id = :id"), {"id": household_id}
    )
    assert result.rowcount == 1


async def a_round(conn, families=3, **more):
    programme = await programme_of(conn, **more)
    household_ids = await enrolled_families(conn, programme, families)
    return programme, household_ids, (await opened(conn, programme)).round_id


async def judged(conn: AsyncConnection, case_id: UUID, verdict: str, *partner_ids: UUID):
    """Let a reviewer of each organisation say the same; return the last answer."""
    answer = None
    for partner_id in partner_ids or (PARTNER_A, PARTNER_B):
        answer = await judged_by(conn, case_id, verdict, partner_id)
    return answer


async def judged_by(conn: AsyncConnection, case_id: UUID, verdict: str, partner_id: UUID, **more):
    """Let the reviewer of one organisation judge."""
    who = staff(9, partner_id, {"adjudicator"})
    await db.set_facts(conn, who)
    said = Said(verdict=verdict, reason="seen", actor_id=who.actor_id, partner_id=partner_id, at=AT)
    return await adjudicate(conn, case_id, said, **more)


async def count(conn: AsyncConnection, table: str) -> int:
    """The rows of a table that the actor sees."""
    return (await conn.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()


@asynccontextmanager
async def rolled_back(conn: AsyncConnection) -> AsyncIterator[None]:
    """Undo what is done inside, as for each example of a property."""
    save = await conn.begin_nested()
    try:
        yield
    finally:
        await save.rollback()
