"""Profiles of payment files, and submissions of forms, as they are sent over HTTP."""

from tests.api.house import House, programme
from tests.cbi.profiled import a_profile
from tests.cbi.submitted import submission


async def a_new_profile(house: House) -> tuple[str, str, object]:
    return "/v1/fsp-profiles", "A/finance", a_profile("example-wallet-csv", code="wallet")


async def a_choice(house: House) -> tuple[str, str, object]:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    path = f"/v1/programmes/{opened['programme_id']}/profile"
    return path, "A/finance", {"code": "pain.001.001.03", "version": 0}


async def a_submission(house: House) -> tuple[str, str, object]:
    del house
    return "/v1/imports/kobo?ubigeo_system=inei", "A/registrar", submission()


PROFILES = {
    "/v1/fsp-profiles": a_new_profile,
    "/v1/programmes/{programme_id}/profile": a_choice,
    "/v1/imports/kobo": a_submission,
}
