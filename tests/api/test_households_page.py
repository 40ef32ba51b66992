"""The page for registrars, played: docs/households.md."""

import json
import re
from pathlib import Path

from tests.api.house import House

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "households.md").read_text(encoding="utf-8")
CALL = re.compile(r"^`POST (\S+)`\n```json\n(.*?)```", re.DOTALL | re.MULTILINE)


def rows_of(table: str) -> list[list[str]]:
    lines = re.findall(r"^\| (\d+ \|.*)\|$", table, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


async def test_the_example_of_the_page_goes_as_the_page_says(house: House):
    form = json.loads((DOCS / "examples" / "family.json").read_text(encoding="utf-8"))
    receipt = await house.made("/v1/households", "A/registrar", form)
    household_id = receipt["household_id"]
    for path, told in CALL.findall(PAGE):
        body = json.loads(told)
        if "persons" in body:
            form = form | {"persons": [*form["persons"], *body["persons"]]}
        if "form" in body:
            body["form"] = form | {"ubigeo": "240102"}
        if "person_ids" in body:
            body["person_ids"] = [receipt["person_ids"][int(at) - 1] for at in body["person_ids"]]
        where = path.format(household_id=household_id)
        answer = await house.post(where, "A/registrar", body)
        assert answer.status_code == 201, (where, answer.text)
    listed = (await house.get(f"/v1/households/{household_id}/events", "A/registrar")).json()
    names = ("version", "kind", "reason", "happened_on", "persons_in", "persons_out")
    told = [[row[name] for name in names] for row in listed["items"]]
    played = [["" if cell is None else str(cell) for cell in row] for row in told]
    shown = rows_of(PAGE.split("## An example")[1])
    # The registration's day is that of the call.
    assert played[0][:3] == shown[0][:3]
    assert played[1:] == shown[1:]
