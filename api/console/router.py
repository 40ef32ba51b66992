"""The console's routes under one path, with their own guard, and failures told as pages."""

from litestar import Router
from litestar.static_files import create_static_files_router

from api.access import CONSOLE_PATH
from api.console import checks, errors, home, imports, session, signing_in
from api.console.form import FORM_BYTES_MAX
from api.console.pages import STATIC

CONSOLE = Router(
    CONSOLE_PATH,
    route_handlers=[
        *(handler for part in (signing_in, home, imports, checks) for handler in part.HANDLERS),
        create_static_files_router(path="/static", directories=[STATIC], include_in_schema=False),
    ],
    guards=[session.guard],
    exception_handlers=errors.HANDLERS,
    request_max_body_size=FORM_BYTES_MAX,
    include_in_schema=False,
)
