"""Slips and appeals over HTTP: A refuses, B takes in, G reviews."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from tests.api.house import House, registration

Asked = tuple[str, str, object]
SAID = {"language": "es", "channel": "in_person", "statement": "No somos esa familia."}
# Their answers hold a secret that is told once, or are the same by what they name.
NOT_KEPT = {
    "/v1/households/{household_id}/slips",
    "/v1/households/{household_id}/slips/{slip_id}/prints",
    "/v1/slips",
    "/v1/slips/{slip_id}/prints",
    "/v1/appeals",
    "/v1/webhooks",
    # Nothing is done.
    "/v1/message-texts/preview",
}
TEXT = {"kind": "person.turn", "language": "es", "words": "Hay un aviso. Llame al {contact}."}
TEXT |= {"contact": "01 555 0100"}
BODIES = {
    "/v1/message-texts": {**TEXT, "effective_from": "2026-01-01"},
    "/v1/message-texts/preview": {**TEXT, "open_to": "2026-2"},
    "/v1/message-texts/{text_id}/approval": {},
    "/v1/households/{household_id}/slips": {
        "reason": "family_assisted",
        "assistance_group": "mpca",
        "case_id": str(UUID(int=20)),
        "document_group": "none",
    },
    "/v1/households/{household_id}/slips/{slip_id}/prints": {},
    "/v1/slips": {"reason": "check_review", "document_group": "none"},
    "/v1/slips/{slip_id}/prints": {},
    "/v1/households/{household_id}/appeals": {**SAID, "slip_id": str(UUID(int=13))},
    "/v1/appeals": {**SAID, "token": "A" * 32, "contact": True},
    "/v1/appeals/{appeal_id}/assignments": {"partner": "PARTNER-B", "person": "x"},
    "/v1/appeals/{appeal_id}/outcome": {"outcome": "upheld", "because": "rule_applies"},
    "/v1/appeals/{appeal_id}/done": {"what": "paid"},
    "/v1/webhooks": {"url": "https://192.0.2.1/hook"},
    "/v1/webhooks/{webhook_id}/closing": {},
}


async def a_slip(house: House, **facts: object) -> dict:
    """Refuse somebody at A; return the slip as printed, and where it stands."""
    receipt = await house.made("/v1/households", "A/registrar", registration())
    path = f"/v1/households/{receipt['household_id']}/slips"
    asked = {"reason": "family_assisted", "assistance_group": "mpca", **facts}
    return {**await house.made(path, "A/programme", asked), "path": path}


async def an_appeal(house: House, **said: object) -> dict:
    await house.hire("G", "registrar", "adjudicator", "coordinator")
    slip = await a_slip(house)
    body = {**SAID, "token": slip["token"], **said}
    return await house.made("/v1/appeals", "B/registrar", body)


async def an_assignment(house: House) -> Asked:
    appeal = await an_appeal(house)
    return (
        f"/v1/appeals/{appeal['appeal_id']}/assignments",
        "B/adjudicator",
        {"person": "adjudicator"},
    )


async def an_outcome(house: House) -> Asked:
    path, who, body = await an_assignment(house)
    await house.made(path, who, body)
    ended = {"outcome": "reversed", "because": "another_family"}
    return (path.replace("assignments", "outcome"), who, ended)


async def a_done_mark(house: House) -> Asked:
    path, who, body = await an_outcome(house)
    await house.made(path, who, body)
    return (path.replace("outcome", "done"), "A/programme", {"what": "enrolled"})


async def an_appeal_without_slip(house: House) -> Asked:
    slip = await a_slip(house)
    body = {**SAID, "slip_id": slip["slip"]["slip_id"]}
    return (slip["path"].replace("slips", "appeals"), "A/registrar", body)


async def a_closing(house: House) -> Asked:
    # Another organisation's than the one whose notices other tests wait for.
    body = {"url": "https://hooks.example/closed"}
    webhook = await house.made("/v1/webhooks", "A/programme", body)
    return (f"/v1/webhooks/{webhook['webhook_id']}/closing", "A/programme", None)


async def a_text(house: House) -> Asked:
    del house
    return ("/v1/message-texts", "A/programme", {**TEXT, "effective_from": "2026-01-01"})


async def a_text_approval(house: House) -> Asked:
    made = await house.made(*await a_text(house))
    return (f"/v1/message-texts/{made['text_id']}/approval", "A/admin", None)


APPEALS: dict[str, Callable[[House], Awaitable[Asked]]] = {
    "/v1/households/{household_id}/appeals": an_appeal_without_slip,
    "/v1/appeals/{appeal_id}/assignments": an_assignment,
    "/v1/appeals/{appeal_id}/outcome": an_outcome,
    "/v1/appeals/{appeal_id}/done": a_done_mark,
    "/v1/webhooks/{webhook_id}/closing": a_closing,
    "/v1/message-texts": a_text,
    "/v1/message-texts/{text_id}/approval": a_text_approval,
}
