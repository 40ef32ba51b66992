"""The worker's duty: who was found only for the sake of promised months is found no more."""

from uuid import UUID

from api import clock
from api.db import WORKER, transaction
from api.state import Service
from api.worker import Duty
from cbi import retain

# Months end at the end of a day.
EVERY_SECONDS = 3_600.0


async def _let_go(service: Service) -> None:
    after: UUID | None = None
    while True:
        async with transaction(service.engine, WORKER, request_id="worker") as conn:
            after = await retain.let_go(conn, at=clock.now(), after=after)
        if after is None:
            return


LET_GO = Duty(name="let-go-of-retained", every_seconds=EVERY_SECONDS, do=_let_go)
