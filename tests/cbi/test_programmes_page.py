"""The example of docs/programmes.md is what the program does."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from api import clock, db
from cbi import disburse, enrol, terms
from cbi.disbursement import Round
from cbi.eligibility import FACTS_ES_EN, OPERATORS
from cbi.term_refusal import EligibilityUnknown, NotEligible
from ledger import money
from ledger.money import Money
from tests.cbi.agreed import agreed, approved_term, who_of
from tests.cbi.world import ALFA, DESK, calculated, family, programme_of, registered

PAGE = (Path(__file__).parents[2] / "docs" / "programmes.md").read_text(encoding="utf-8")
BODIES = [msgspec.json.decode(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| \d \|", line)
]
VERDICTS = {"no": NotEligible, "unknown": EligibilityUnknown}


async def the_programme(conn):
    programme = await programme_of(conn, values_from=date(2030, 1, 1))
    for body in BODIES:
        since = date.fromisoformat(body["effective_from"])
        if "kind" in body:
            await agreed(conn, programme, body["kind"], body["content"], ALFA, since)
            continue
        amounts = [money.parse(each, "PEN").amount_minor for each in body["by_size"]]
        table = await terms.set_values(
            conn,
            programme_id=programme.programme_id,
            currency="PEN",
            by_size=dict(enumerate(amounts, start=1)),
            effective_from=since,
            area=body.get("area", ""),
            who=who_of(ALFA),
        )
        added = await terms.load_term(conn, programme.programme_id, "values", table.version)
        await approved_term(conn, programme, added, ALFA)
    return programme


async def the_family(conn, row):
    number, district, persons, small, *_ = row
    raw = family(int(number), size=int(persons), ubigeo=district)
    people = raw["persons"]
    people[0]["birth_date"] = "1990-05-05"
    for place, person in enumerate(people[1:]):
        person["birth_date"] = "2024-01-01" if place < int(small) else "1995-05-05"
    if small == "unknown":
        del people[0]["birth_date"]
    return (await registered(conn, raw)).household_id


async def enrolled_on(conn, programme, household_id, day: str):
    await db.set_facts(conn, ALFA, request_id="request-7")
    return await enrol.enrol(
        conn,
        programme_id=programme.programme_id,
        household_id=household_id,
        enrolment_id=clock.new_id(),
        vault=DESK.vault,
        partner_id=ALFA.partner_id,
        actor_id=ALFA.actor_id,
        at=datetime.fromisoformat(f"{day or '2026-06-01'}T12:00").replace(tzinfo=UTC),
    )


async def test_the_example_gives_what_the_page_says(conn):
    assert (len(BODIES), len(ROWS)) == (6, 4)
    programme = await the_programme(conn)
    wanted = set()
    for row in ROWS:
        household_id = await the_family(conn, row)
        day, verdict, *amounts = row[4:]
        if verdict in VERDICTS:
            with pytest.raises(VERDICTS[verdict]) as refused:
                await enrolled_on(conn, programme, household_id, day)
            assert len(refused.value.reasons) == (3 if verdict == "no" else 2)
            continue
        await enrolled_on(conn, programme, household_id, day)
        for kind, amount in zip(("instalment", "top_up"), amounts, strict=True):
            if amount:
                wanted.add((household_id, kind, money.parse(amount, "PEN")))
    round_ = Round(
        round_id=clock.new_id(),
        programme_id=programme.programme_id,
        name="July",
        first_month=date(2026, 7, 1),
        end_month=date(2026, 8, 1),
        pays_on=date(2026, 7, 20),
    )
    facts = {"partner_id": ALFA.partner_id, "actor_id": ALFA.actor_id}
    await disburse.open_round(conn, round_, **facts, at=datetime(2026, 7, 18, tzinfo=UTC))
    made = await calculated(conn, round_.round_id)
    found = await disburse.load_entitlements(conn, round_.round_id)
    assert {(each.household_id, each.kind, each.money) for each in found} == wanted
    assert made.signed.total == Money(amount_minor=87_677, currency="PEN")


def test_the_page_names_every_fact_and_operator():
    operators = {each for kind in OPERATORS.values() for each in kind}
    for word in (*FACTS_ES_EN, *operators):
        assert f"`{word}`" in PAGE, word
