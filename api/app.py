"""The application: routes, guard, problems, logs, metrics, documentation pages."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import swagger_ui
from litestar import Litestar, MediaType, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController
from litestar.static_files import create_static_files_router

from api import (
    appeals,
    auth,
    books,
    breaks,
    caps,
    cases,
    check,
    check_files,
    clock,
    conflicts,
    eligibility,
    events,
    figures,
    followups,
    funds,
    grants,
    health,
    households,
    imports,
    jobs,
    kobo,
    message_texts,
    moves,
    overlaps,
    periods,
    problems,
    profiles,
    programmes,
    quotas,
    reports,
    reservations,
    rounds,
    runs,
    simulations,
    slips,
    statements,
    terms,
    uploads,
    webhooks,
)
from api.console import errors
from api.console.router import CONSOLE
from api.db import SYSTEM, transaction
from api.described import describe_failures
from api.kinds import DUTIES, KINDS
from api.logs import LOG, RequestLog
from api.state import (
    CHECKPOINT_NAME,
    Service,
    StrictRequest,
    provide_actor,
    provide_conn,
    provide_service,
)
from api.worker import working
from ledger.seal import seal

# In the order of the documentation.
PARTS = (
    health,
    households,
    events,
    moves,
    imports,
    kobo,
    check,
    check_files,
    quotas,
    cases,
    programmes,
    terms,
    eligibility,
    overlaps,
    reservations,
    conflicts,
    caps,
    funds,
    grants,
    profiles,
    rounds,
    followups,
    reports,
    statements,
    books,
    breaks,
    periods,
    runs,
    simulations,
    jobs,
    uploads,
    slips,
    appeals,
    figures,
    webhooks,
    message_texts,
)
SWAGGER_FILES = Path(swagger_ui.__file__).parent / "static"
SEAL_EVERY_SECONDS = 5.0


class Metrics(PrometheusController):
    """Counts and durations by route template; no datum of anybody."""

    path = "/metrics"
    include_in_schema = False


def make_app(service: Service) -> Litestar:
    """Make the application around a process's resources."""
    # Metrics are kept by this process alone unless the operator says otherwise.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    metrics = PrometheusConfig(app_name="cbi", prefix="cbi", group_path=True)
    app = Litestar(
        route_handlers=[
            *(handler for part in PARTS for handler in part.HANDLERS),
            Metrics,
            CONSOLE,
            create_static_files_router(
                path="/docs/static", directories=[SWAGGER_FILES], include_in_schema=False
            ),
        ],
        guards=[auth.guard],
        dependencies={
            "service": Provide(provide_service, sync_to_thread=False),
            "actor": Provide(provide_actor, sync_to_thread=False),
            "conn": Provide(provide_conn),
        },
        middleware=[metrics.middleware],
        request_class=StrictRequest,
        exception_handlers={**problems.HANDLERS, HTTPException: errors.on_http},
        request_max_body_size=service.settings.body_bytes_max,
        openapi_config=_openapi(),
        lifespan=[
            lambda app: _sealing(app.state.service),
            lambda app: working(app.state.service, KINDS, DUTIES),
        ],
        debug=False,
        logging_config=None,
    )
    app.state.service = service
    # Outside the router, so that an unknown path has a request id and a line in the log as well.
    app.asgi_handler = RequestLog()(app.asgi_handler)
    describe_failures(app.openapi_schema)
    return app


async def seal_all(service: Service) -> int:
    """Seal every transfer that is ready; return the size of the log, 0 when there is none."""
    size = 0
    while True:
        async with transaction(service.engine, SYSTEM, request_id="seal") as conn:
            checkpoint = await seal(
                conn,
                signer=service.signer,
                name=CHECKPOINT_NAME,
                at=clock.now(),
                random=os.urandom,
            )
        if checkpoint is None:
            return size
        size = checkpoint.size


@asynccontextmanager
async def _sealing(service: Service) -> AsyncIterator[None]:
    """Seal in the background while the service runs; a failed try is tried again."""

    async def forever() -> None:
        while True:
            try:
                await seal_all(service)
            except Exception as error:  # noqa: BLE001 -- the edge of a task: logged, tried again
                LOG.warning("seal_failed", exc_info=error)
            await asyncio.sleep(SEAL_EVERY_SECONDS)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await service.engine.dispose()


def _no_such_page(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Answer an unknown page as every unknown path; the framework would send HTML."""
    if connection.scope["path_template"] == "/docs/{path}":
        raise NotFoundException


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="cbi",
        version="0.1.0",
        description=(
            "Registration, duplicate checks, disbursement and reconciliation for cash assistance."
            " Every failure is an RFC 9457 problem."
        ),
        path="/docs",
        use_handler_docstrings=True,
        openapi_router=Router(
            "/docs", route_handlers=[], guards=[_no_such_page], include_in_schema=False
        ),
        # Served from this machine: the pages need no other network.
        render_plugins=[
            SwaggerRenderPlugin(
                js_url="/docs/static/swagger-ui-bundle.js",
                css_url="/docs/static/swagger-ui.css",
                standalone_preset_js_url="/docs/static/swagger-ui-standalone-preset.js",
                path="/",
                favicon='<link rel="icon" href="data:,">',
            ),
            JsonRenderPlugin(path="/openapi.json", media_type=MediaType.JSON),
        ],
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        security=[{"key": []}],
        tags=[
            Tag(name=name)
            for name in (
                "registration",
                "households",
                "adjudication",
                "appeals",
                "notices",
                "programmes",
                "rounds",
                "reconciliation",
                "reports",
                "ledger",
                "jobs",
                "access",
                "health",
            )
        ],
    )
