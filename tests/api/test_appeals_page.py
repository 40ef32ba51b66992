"""The worked example of docs/appeals.md happens as it is written."""

import json
import re
from pathlib import Path
from typing import get_args

from cbi.appeal import BECAUSE
from cbi.slip import DocumentGroup, Reason
from tests.api.house import House, registration

PAGE = (Path(__file__).parents[2] / "docs" / "appeals.md").read_text(encoding="utf-8")
LETTERS = {"ALFA": "A", "BETA": "B", "GAMA": "G"}
CALL = re.compile(
    r"^(\w+) (\w+): (GET|POST) (\S+)(?: (\{.*\}))?\n→ (\d+)(?: (\{.*\}))?$", re.MULTILINE
)


async def test_the_example_of_the_page_happens_as_it_is_written(house: House):
    await house.hire("G", "registrar", "adjudicator", "coordinator")
    receipt = await house.made("/v1/households", "A/registrar", registration())
    known = {"household_id": receipt["household_id"]}
    headers: dict[str, str] = {}
    calls = CALL.findall(PAGE)
    assert len(calls) == PAGE.count("\n→ ") == 8
    for partner, role, method, path, sent, status, expected in calls:
        for name, value in known.items():
            path = path.replace(f"{{{name}}}", value)  # noqa: PLW2901
        body = {"json": json.loads(sent.replace("TOKEN", known.get("token", "")))} if sent else {}
        who = f"{LETTERS[partner]}/{role}"
        answer = await house.call(method, path, who, headers=headers, **body)
        assert answer.status_code == int(status), (path, answer.text)
        if answer.headers["content-type"] != "application/json":
            assert answer.content.startswith(b"%PDF-")
            continue
        told = answer.json()
        assert json.loads(expected).items() <= told.items() if expected else True
        if "token" in told:
            known |= {"slip_id": told["slip"]["slip_id"], "token": told["token"]}
            headers = {"Slip-Token": told["token"]}
        known.setdefault("appeal_id", told.get("appeal_id", ""))
        if not known["appeal_id"]:
            del known["appeal_id"]


def test_the_page_names_every_word_that_a_caller_may_send_or_get():
    words = {*get_args(Reason), *get_args(DocumentGroup)}
    words |= {*BECAUSE, *(one for reasons in BECAUSE.values() for one in reasons)}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()
