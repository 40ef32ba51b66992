"""docs/overlap.md is true: its rules are the example, and its table is played here."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from cbi import wait
from cbi.overlap import example
from cbi.overlap_refusal import Overlap
from tests.cbi.overlapping import agreed, promised
from tests.cbi.test_enrol import one_family
from tests.cbi.test_reserve import reserved
from tests.cbi.test_wait import entered
from tests.cbi.world import ALFA, AT, BETA, programme_of

GUIDE = (Path(__file__).parents[2] / "docs" / "overlap.md").read_text(encoding="utf-8")
ROW = re.compile(r"\| (\d{4}-\d\d-\d\d) \| (ALFA|BETA) \| ([^|]+) \| ([^|]+) \|")
ASKED = re.compile(r"(reserves|enrols|waits for) (\w+)(?: from (\d{4})-(\d\d) for (\d+))?")
WHO = {"ALFA": ALFA, "BETA": BETA}


def test_the_guide_shows_the_example():
    (shown,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    assert msgspec.json.decode(shown) == example()


async def answered(conn, household_id, actor, asked, at):
    verb, assistance, *months = ASKED.fullmatch(asked).groups()
    if verb == "waits for":
        entry = await entered(conn, household_id, actor, at=at, assistance=assistance)
        (same,) = await wait.list_waiting(conn, after=None, limit=2, at=at)
        assert same.waiting_id == entry.waiting_id
        return "free" if same.is_free else "held"
    year, month, number = map(int, months)
    first = date(year, month, 1)
    try:
        if verb == "reserves":
            wanted = {"assistance": assistance, "first_month": first, "months": number}
            made = await reserved(conn, household_id, actor, at=at, **wanted)
            return f"{made.state} until {made.expires_at:%Y-%m-%d}"
        programme = await programme_of(conn, actor, group=assistance)
        await promised(conn, programme, household_id, actor, first=first, months=number, at=at)
    except Overlap as refused:
        return f"refused until {refused.until}"
    return "enrolled"


async def test_the_familys_year_goes_as_the_guide_says(conn):
    mine, theirs = await one_family(conn)
    await agreed(conn, at=AT - timedelta(days=1))
    households = {"ALFA": mine, "BETA": theirs}
    rows = ROW.findall(GUIDE)
    assert len(rows) == 10
    for day, name, asked, answer in rows:
        at = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
        assert (
            await answered(conn, households[name], WHO[name], asked.strip(), at) == answer.strip()
        ), (day, name, asked)
