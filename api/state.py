"""What a running service holds: settings, engine, keys and the matching model in use."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from math import inf
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
from cbi import attempts
from cbi.figures import Figures
from cbi.payout import Keys
from cbi.register import Desk
from cbi.vault import Vault
from dedup import model, models
from dedup.model import Model
from dedup.refusal import ModelUnreadable

Requested = Request[Any, Any, State]


class StrictRequest(Request[Any, Any, State]):
    """A request whose body, when it is no JSON at all, is the caller's fault in every case."""

    async def json(self) -> Any:  # noqa: ANN401 (JSON)
        try:
            return await super().json()
        except (RecursionError, UnicodeDecodeError) as error:
            # msgspec's own error for both is none that the framework knows.
            raise SerializationException("no JSON") from error


# A page of a round is some hundred thousand objects that all live to its end: to look through them
# every 700 new ones took a fifth of a round's time, and found nothing.
GC_THRESHOLDS = (50_000, 20, 20)
CHECKPOINT_NAME = "cbi.ledger/log"


# A model that is taken into use is followed by every process within so many seconds.
FOLLOW_SECONDS = 1.0


class ModelInUse:
    """The model that this process weighs with; follows what the database says is in use."""

    def __init__(self) -> None:
        # What cases are shown by; never anything but a model that could be read.
        self.readable: Model = model.load()
        self._unreadable: str | None = None
        self._asked_at = -inf

    @property
    def current(self) -> Model:
        """The model in use.

        Raises ModelUnreadable: to weigh with another model than was decided on is no way out.
        """
        if self._unreadable is not None:
            raise ModelUnreadable(model_id=self._unreadable)
        return self.readable

    async def follow(self, conn: AsyncConnection, *, at_once: bool = False) -> None:
        """Ask for the model in use, once a second at most unless told `at_once`."""
        if not at_once and time.monotonic() - self._asked_at < FOLLOW_SECONDS:
            return
        wanted = await models.active_id(conn)
        if wanted != self.readable.model_id:
            try:
                self.readable = await models.load(conn, wanted)
            except ModelUnreadable:
                # Whoever weighs nothing goes on: paying and judging don't wait for it. The next
                # one asks again.
                self._unreadable = wanted
                return
        self._unreadable = None
        self._asked_at = time.monotonic()


class KeptFigures:
    """Published figures by the first day of their quarter, and whether it ended today.

    There are a few more each year.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[date, bool], Figures] = {}
        self.lock = asyncio.Lock()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One process's resources."""

    settings: Settings
    engine: AsyncEngine
    vault: Vault
    model: ModelInUse
    signer: Ed25519PrivateKey
    figures: KeptFigures

    @property
    def keys(self) -> Keys:
        """What releasing needs."""
        return Keys(vault=self.vault, matching_key=self.settings.matching_key)

    @property
    def desk(self) -> Desk:
        """What registering needs, with the model as it was last asked for.

        Raises ModelUnreadable.
        """
        return Desk(
            vault=self.vault,
            matching_key=self.settings.matching_key,
            model=self.model.current,
            new_id=clock.new_id,
        )

    @asynccontextmanager
    async def begin(
        self, actor: Actor | None, *, request_id: str = ""
    ) -> AsyncIterator[AsyncConnection]:
        """Open a transaction in which `desk` weighs with the model in use."""
        key = attempts.key_of(self.settings.matching_key)
        async with transaction(self.engine, actor, request_id=request_id, attempt_key=key) as conn:
            await self.model.follow(conn)
            yield conn


def open_service(settings: Settings, *, database_url: str) -> Service:
    """Make the resources of a process; nothing is connected before it is used."""
    gc.set_threshold(*GC_THRESHOLDS)
    return Service(
        settings=settings,
        engine=connect(database_url, pool_size=settings.pool_size),
        vault=Vault({"k1": settings.sealing_key}),
        model=ModelInUse(),
        signer=Ed25519PrivateKey.from_private_bytes(settings.signing_key),
        figures=KeptFigures(),
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
    async with service_of(request).begin(
        provide_actor(request),
        request_id=request.scope["request_id"],  # type: ignore[typeddict-item]
    ) as conn:
        yield conn
