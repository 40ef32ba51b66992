"""What fails, as a page: told in the words of the same problem over HTTP."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from litestar.exceptions import HTTPException, NotAuthorizedException

from api import access, problems
from api.console import session
from api.console.pages import Answer, go, show
from api.state import Requested
from api.wording import NOT_FOUND

# Steps that have no page of their own: whoever must sign in first is brought back to what they are
# steps of.
STEPS = ("/acceptance", "/refusal", "/file", "/corrections")
PATH_CHARACTERS_MAX = 200
HOME = "/console"
PAGE = re.compile(r"/console(?:/[a-z0-9-]+){0,4}", re.ASCII)
NO_PAGES = (f"{HOME}/sign-in", f"{HOME}/sign-out", f"{HOME}/language")


def on_problem(
    handler: Callable[[Requested, Any], problems.Reply],
) -> Callable[[Requested, Exception], Answer]:
    """Tell by a page what `handler` tells as a problem."""

    def page(request: Requested, error: Exception) -> Answer:
        reply = handler(request, error)
        retry = reply.headers.get("Retry-After")
        return show(
            request,
            "problem.html",
            status=int(reply.status_code or 500),
            headers={"Retry-After": retry} if retry else None,
            problem=msgspec.to_builtins(reply.content),
            back=HOME if reply.status_code == NOT_FOUND.status else page_of(request.url.path),
        )

    return page


def on_http(request: Requested, error: HTTPException) -> Answer | problems.Reply:
    """Tell what is refused before any route was found: by a page where pages are."""
    if access.is_console(request.url.path):
        return on_problem(problems.on_http)(request, error)
    return problems.on_http(request, error)


def to_sign_in(request: Requested, error: Exception) -> Answer:
    """Bring who is not signed in, or not any more, to sign in and back."""
    del error
    began = session.begin(to=page_of(request.url.path))
    return go(request, f"{HOME}/sign-in", cookie=session.cookie_of(request, began))


def page_of(path: str) -> str:
    """Return the page that a path is of, or the first page."""
    if path.endswith("/cancellation"):
        return f"{HOME}/jobs"
    for step in STEPS:
        path = path.removesuffix(step)
    is_page = len(path) <= PATH_CHARACTERS_MAX and PAGE.fullmatch(path) is not None
    return path if is_page and path not in NO_PAGES else HOME


HANDLERS: dict[int | type[Exception], Any] = {
    error: on_problem(handler) for error, handler in problems.HANDLERS.items()
} | {NotAuthorizedException: to_sign_in}
