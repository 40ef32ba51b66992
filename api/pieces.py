"""Work in pieces: a large round's step takes several transactions, and may take several calls."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.status_codes import HTTP_202_ACCEPTED
from sqlalchemy.ext.asyncio import AsyncConnection

from api.once import once
from api.state import Requested, Service, provide_actor
from cbi.disbursement import Progress

T = TypeVar("T")

# How a route that works in pieces tells of it.
UNDER_WAY = {
    HTTP_202_ACCEPTED: ResponseSpec(
        Progress,
        description="The step is under way and what is done stays: send the same request again",
    )
}


async def in_pieces(
    request: Requested,
    service: Service,
    piece: Callable[[AsyncConnection], Awaitable[T | Progress]],
) -> T | Response[Progress]:
    """Do one piece after the other, each in its transaction, until all is done or time is up.

    The answer of the last piece is the request's, and is stored under its Idempotency-Key; when
    the time is up the answer is 202, and the same request goes on.
    """
    await request.body()
    until = time.monotonic() + service.settings.work_seconds

    @once
    async def keyed(*, request: Requested, conn: AsyncConnection) -> T | Progress:
        del request
        return await piece(conn)

    while True:
        async with service.begin(
            provide_actor(request),
            request_id=request.scope["request_id"],  # type: ignore[typeddict-item]
        ) as conn:
            done = await keyed(request=request, conn=conn)
        if not isinstance(done, Progress):
            return done
        if time.monotonic() >= until:
            return Response(done, status_code=HTTP_202_ACCEPTED, headers={"Retry-After": "0"})
