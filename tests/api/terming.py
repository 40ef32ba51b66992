"""Terms of a programme as they are sent over HTTP."""

from tests.api.house import House, programme

SCOPE = {
    "kind": "scope",
    "effective_from": "2026-01-01",
    "content": {"areas": ["24"], "first_month": "2026-01-01", "last_month": "2026-12-01"},
}


async def a_programme(house: House) -> str:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    return f"/v1/programmes/{opened['programme_id']}"


async def a_term(house: House) -> tuple[str, str, object]:
    return f"{await a_programme(house)}/terms", "A/programme", SCOPE


async def an_approval(house: House) -> tuple[str, str, object]:
    path, who, body = await a_term(house)
    await house.made(path, who, body)
    return f"{path}/approval", "A/finance", {"kind": "scope", "version": 1}


TERMS = {
    "/v1/programmes/{programme_id}/terms": a_term,
    "/v1/programmes/{programme_id}/terms/approval": an_approval,
}
# A body of each, to be fuzzed.
VALID = {
    "/v1/programmes/{programme_id}/terms": SCOPE,
    "/v1/programmes/{programme_id}/terms/approval": {"kind": "scope", "version": 1},
}
