"""Grants as they are sent over HTTP."""

from uuid import UUID, uuid4

from tests.api.breaking import Asked
from tests.api.house import House, new_round, programme

AMENDMENT = {"kind": "top_up", "amount": "2000.00", "last_day": "2026-12-31"}


def grant(**more: object) -> dict:
    facts = {"code": f"G{uuid4().hex[:12].upper()}", "donor": "ECHO", "reference": "AGR/1"}
    days = {"first_day": "2026-01-01", "last_day": "2026-12-31"}
    return {**facts, "currency": "PEN", "amount": "1000.00", **days, **more}


async def a_grant(house: House) -> Asked:
    del house
    return "/v1/grants", "A/finance", grant()


async def an_approval(house: House) -> Asked:
    path, who, body = await a_grant(house)
    made = await house.made(path, who, body)
    return f"{path}/{made['grant_id']}/approval", "A/programme", {"version": 1}


async def agreed(house: House) -> tuple[str, dict]:
    """A grant that counts: its path, and what was agreed."""
    path, who, body = await an_approval(house)
    made = await house.made(path, who, body)
    return path.removesuffix("/approval"), made


async def an_amendment(house: House) -> Asked:
    path, _ = await agreed(house)
    return f"{path}/amendments", "A/finance", AMENDMENT


async def drawing(house: House) -> tuple[str, str]:
    """A programme that draws on a grant: its path and the grant's code."""
    _, made = await agreed(house)
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}"
    content = {"grants": [made["code"]]}
    term = {"kind": "grants", "effective_from": "2026-01-01", "content": content}
    await house.made(f"{path}/terms", "A/programme", term)
    approval = {"kind": "grants", "version": 1}
    await house.made(f"{path}/terms/approval", "A/finance", approval)
    return path, made["code"]


async def a_naming(house: House) -> Asked:
    path, code = await drawing(house)
    opened = await house.made("/v1/rounds", "A/programme", new_round(path.rpartition("/")[2]))
    return f"/v1/rounds/{opened['round_id']}/grant", "A/finance", {"grant": code}


GRANTS = {
    "/v1/grants": a_grant,
    "/v1/grants/{grant_id}/approval": an_approval,
    "/v1/grants/{grant_id}/amendments": an_amendment,
    "/v1/rounds/{round_id}/grant": a_naming,
}
# A body of each, to be fuzzed.
BODIES = {
    "/v1/grants": grant(code="G-1"),
    "/v1/grants/{grant_id}/approval": {"version": 1},
    "/v1/grants/{grant_id}/amendments": AMENDMENT,
    "/v1/rounds/{round_id}/grant": {"grant": "G-1"},
}
IDS = {"grant_id": str(UUID(int=13))}
