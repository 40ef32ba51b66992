"""What a running service holds: settings, engine, keys and the matching model."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import SerializationException
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api import clock
from api.db import Actor, connect, transaction
from api.settings import Settings
from cbi.register import Desk
from cbi.vault import Vault
from dedup import model

Requested = Request[Any, Any, State]


class StrictRequest(Request[Any, Any, State]):
    """A request whose body, when it is no JSON at all, is the caller's fault in every case."""

    async def json(self) -> Any:  # noqa: ANN401 (JSON)
        try:
            return await super().json()
        except (RecursionError, UnicodeDecodeError) as error:
            # msgspec's own error for both is none that the framework knows.
            raise SerializationException("no JSON") from error


CHECKPOINT_NAME = "cbi.ledger/log"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One process's resources."""

    settings: Settings
    engine: AsyncEngine
    desk: Desk
    signer: Ed25519PrivateKey

    @property
    def vault(self) -> Vault:
        return self.desk.vault


def open_service(settings: Settings, *, database_url: str) -> Service:
    """Make the resources of a process; nothing is connected before it is used."""
    return Service(
        settings=settings,
        engine=connect(database_url, pool_size=settings.pool_size),
        desk=Desk(
            vault=Vault({"k1": settings.sealing_key}),
            matching_key=settings.matching_key,
            model=model.load(),
            new_id=clock.new_id,
        ),
        signer=Ed25519PrivateKey.from_private_bytes(settings.signing_key),
    )


def service_of(request: Requested) -> Service:
    service: Service = request.app.state.service
    return service


def provide_service(request: Requested) -> Service:
    return service_of(request)


def provide_actor(request: Requested) -> Actor:
    """Return who the guard let in."""
    actor: Actor = request.scope["actor"]  # type: ignore[typeddict-item]
    return actor


async def provide_conn(request: Requested) -> AsyncIterator[AsyncConnection]:
    """Open the request's one transaction; it commits before the answer is sent.

    The body is there before: a caller who sends slowly must not hold a connection.
    """
    await request.body()
    async with transaction(
        service_of(request).engine,
        provide_actor(request),
        request_id=request.scope["request_id"],  # type: ignore[typeddict-item]
    ) as conn:
        yield conn
