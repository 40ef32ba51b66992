"""Terms of a programme as they are sent over HTTP."""

from uuid import UUID

from tests.api import granting
from tests.api.house import House, programme, registration

SCOPE = {
    "kind": "scope",
    "effective_from": "2026-01-01",
    "content": {"areas": ["24"], "first_month": "2026-01-01", "last_month": "2026-12-01"},
}

RULES = {
    "kind": "eligibility",
    "effective_from": "2026-01-01",
    "content": {
        "rule": {
            "all": [
                {"fact": "size", "is": ">=", "value": 1},
                {"not": {"fact": "intention", "is": "in", "value": ["return", "move_on"]}},
            ]
        }
    },
}
# Examples: no law and no contract says so.
EXAMPLE = {"source": "an example", "is_example": True, "effective_from": "2099-01-01"}
UIT = EXAMPLE | {"amount": "5000.00"}
CAP = EXAMPLE | {"instrument_kind": "mobile_wallet", "currency": "PEN", "in_uit": True}
CAP |= {"per_transaction": "0.125", "per_month": "1", "balance": "2"}
SCORE = {"model": "smep", "model_version": "2", "score": 41.5, "components": {"rent": 10}}


async def a_programme(house: House) -> str:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    return f"/v1/programmes/{opened['programme_id']}"


async def a_term(house: House) -> tuple[str, str, object]:
    return f"{await a_programme(house)}/terms", "A/programme", SCOPE


async def an_approval(house: House) -> tuple[str, str, object]:
    path, who, body = await a_term(house)
    await house.made(path, who, body)
    return f"{path}/approval", "A/finance", {"kind": "scope", "version": 1}


async def agreed(house: House, path: str, term: dict, version: int = 1) -> None:
    """Enter a term and let finance approve it."""
    await house.made(f"{path}/terms", "A/programme", term)
    approval = {"kind": term["kind"], "version": version}
    await house.made(f"{path}/terms/approval", "A/finance", approval)


async def an_override(house: House) -> tuple[str, str, object]:
    path = await a_programme(house)
    await agreed(house, path, RULES)
    receipt = await house.made("/v1/households", "A/registrar", registration())
    body = {"household_id": receipt["household_id"], "because": "home_visit"}
    return f"{path}/eligibility/overrides", "A/programme", body


async def a_score(house: House) -> tuple[str, str, object]:
    receipt = await house.made("/v1/households", "A/registrar", registration())
    return f"/v1/households/{receipt['household_id']}/scores", "A/programme", SCORE


async def a_uit(house: House) -> tuple[str, str, object]:
    del house
    return "/v1/uit-values", "A/coordinator", UIT


async def a_uit_approval(house: House) -> tuple[str, str, object]:
    made = await house.made("/v1/uit-values", "B/coordinator", UIT)
    return f"/v1/uit-values/{made['uit_no']}/approval", "A/coordinator", None


async def a_cap_approval(house: House) -> tuple[str, str, object]:
    await house.made((await a_uit_approval(house))[0], "A/coordinator")
    made = await house.made("/v1/instrument-caps", "B/coordinator", CAP)
    return f"/v1/instrument-caps/{made['cap_no']}/approval", "A/coordinator", None


async def a_cap(house: House) -> tuple[str, str, object]:
    del house
    return "/v1/instrument-caps", "A/coordinator", CAP


TERMS = {
    **granting.GRANTS,
    "/v1/uit-values": a_uit,
    "/v1/instrument-caps": a_cap,
    "/v1/uit-values/{uit_no}/approval": a_uit_approval,
    "/v1/instrument-caps/{cap_no}/approval": a_cap_approval,
    "/v1/programmes/{programme_id}/terms": a_term,
    "/v1/programmes/{programme_id}/terms/approval": an_approval,
    "/v1/programmes/{programme_id}/eligibility/overrides": an_override,
    "/v1/households/{household_id}/scores": a_score,
}
# A check changes nothing, and its answer is not kept.
UNKEPT = {"/v1/check", "/v1/fsp-profiles/preview", "/v1/programmes/{programme_id}/eligibility"}
# A body of each, to be fuzzed.
VALID = {
    **granting.BODIES,
    "/v1/uit-values": UIT,
    "/v1/instrument-caps": CAP,
    "/v1/uit-values/{uit_no}/approval": {},
    "/v1/instrument-caps/{cap_no}/approval": {},
    "/v1/programmes/{programme_id}/terms": RULES,
    "/v1/programmes/{programme_id}/terms/approval": {"kind": "scope", "version": 1},
    "/v1/programmes/{programme_id}/eligibility": {"household_ids": [str(UUID(int=3))]},
    "/v1/programmes/{programme_id}/eligibility/overrides": {
        "household_id": str(UUID(int=3)),
        "because": "other",
    },
    "/v1/households/{household_id}/scores": SCORE,
}
