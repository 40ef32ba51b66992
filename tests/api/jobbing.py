"""Jobs made by hand for whoever holds a key of the house."""

from collections.abc import Awaitable, Callable

from api import auth, clock, db
from tests.api.house import House
from tests.cbi.working import job_made

Asked = tuple[str, str, object]


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


JOBS: dict[str, Callable[[House], Awaitable[Asked]]] = {
    "/v1/jobs/{job_id}/cancellation": a_cancellation,
}
