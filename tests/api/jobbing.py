"""Jobs made by hand for whoever holds a key of the house."""

import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from uuid import UUID, uuid4

from api import auth, clock, db
from api.kinds import KINDS
from api.worker import see_through
from cbi.job import JobView
from tests.api.house import House, registration
from tests.cbi.working import job_made

Asked = tuple[str, str, object]
UPLOAD = {"sha256": "0" * 64, "bytes": 1, "format": "json", "ubigeo_system": "inei"}
# What is fuzzed: bodies as they should be, and ids of nothing.
JOB_BODIES: dict[str, dict[str, object]] = {
    "/v1/jobs/{job_id}/cancellation": {},
    "/v1/imports/uploads": UPLOAD,
    "/v1/imports/{import_id}/acceptance": {"take": [1, 2]},
    "/v1/imports/{import_id}/refusal": {},
    "/v1/imports/{import_id}/closing": {},
}
JOB_IDS = {"job_id": str(UUID(int=13)), "import_id": str(UUID(int=14))}


async def actor_of(house: House, who: str) -> db.Actor:
    """Return the actor that a key of the house stands for."""
    async with db.transaction(house.service.engine, None) as conn:
        found = await auth.find_actor(conn, house.keys[who], at=clock.now())
    assert found is not None
    return found


async def a_cancellation(house: House) -> Asked:
    me = await actor_of(house, "A/registrar")
    async with house.service.begin(me) as conn:
        made = await job_made(conn, me)
    return (f"/v1/jobs/{made.job_id}/cancellation", "A/registrar", None)


async def an_upload(house: House) -> Asked:
    del house
    return ("/v1/imports/uploads", "A/registrar", UPLOAD | {"sha256": f"{uuid4().int:064x}"})


async def staged(house: House, *raws: dict, who: str = "A/registrar", **declared: object) -> str:
    """Send a file in one piece and have it staged; return the import's path."""
    content = json.dumps(raws).encode()
    facts = {"sha256": sha256(content).hexdigest(), "bytes": len(content), **declared}
    opened = await house.made("/v1/imports/uploads", who, UPLOAD | facts)
    path = f"/v1/imports/uploads/{opened['import_id']}/pieces/1"
    sent = await house.call("PUT", path, who, content=content)
    assert sent.status_code == 200, sent.text
    await worked(house, sent.json()["job_id"], who)
    return f"/v1/imports/{opened['import_id']}"


async def worked(house: House, job_id: str, who: str = "A/registrar") -> JobView:
    """See a job through to its end."""
    me = await actor_of(house, who)
    return await see_through(house.service, KINDS, UUID(job_id), actor=me, tell=max)


async def an_acceptance(house: House) -> Asked:
    return (f"{await staged(house, registration())}/acceptance", "A/registrar", {"take": "all"})


async def a_refusal(house: House) -> Asked:
    return (f"{await staged(house, registration())}/refusal", "A/registrar", None)


async def a_closing(house: House) -> Asked:
    path = await staged(house, registration())
    taken = await house.made(f"{path}/acceptance", "A/registrar", {"take": "all"})
    await worked(house, taken["job_id"])
    return (f"{path}/closing", "A/registrar", None)


JOBS: dict[str, Callable[[House], Awaitable[Asked]]] = {
    "/v1/jobs/{job_id}/cancellation": a_cancellation,
    "/v1/imports/uploads": an_upload,
    "/v1/imports/{import_id}/acceptance": an_acceptance,
    "/v1/imports/{import_id}/refusal": a_refusal,
    "/v1/imports/{import_id}/closing": a_closing,
}
