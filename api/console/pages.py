"""Pages: templates, words, and what every answer of the console carries."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.datastructures import Cookie

from api import access, clock
from api.console.session import (
    REFRESH_HEADER,
    Visit,
    cookie_of,
    language_of,
    token_of,
    visit_of,
)
from api.problems import REFUSALS
from api.state import Requested, service_of
from cbi.intake import REASONS
from cbi.job import JobView

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
WORDS: Mapping[str, tuple[str, str]] = msgspec.json.decode(
    (FOLDER / "words.json").read_bytes(), type=dict[str, tuple[str, str]]
)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LANGUAGES = ("es", "en")
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

# Of refusals by their slugs.
_REFUSED = {told.slug: (told.es, told.en) for told in REFUSALS.values()}

Answer = Response[bytes]
_Sent = TypeVar("_Sent", bound=Response[Any])


def say(language: str, key: str, **facts: object) -> str:
    """Return what is said in this language."""
    return WORDS[key][_LANGUAGES.index(language)].format(**facts)


def show(
    request: Requested,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **facts: object,
) -> Answer:
    """Render a page in the person's language."""
    language, visit = language_of(request), visit_of(request)
    page = _ENVIRONMENT.get_template(template).render(
        facts
        | {
            "language": language,
            "t": lambda key, **told: say(language, key, **told),
            "has": WORDS.__contains__,
            "moment": lambda at: _moment(language, at),
            "number": lambda number: _number(language, number),
            "token": token_of(service_of(request), visit.session),
            "actor": visit.actor,
            "may": lambda path: _may(visit, path),
            "may_cancel": lambda job: _may_cancel(visit, job),
            "failure": lambda reason, detail: _failure(language, reason, detail),
            "path": request.url.path,
        }
    )
    answer = Response(
        page.encode(), status_code=status, media_type="text/html; charset=utf-8", headers=headers
    )
    return finished(request, answer)


def go(request: Requested, path: str, *, cookie: Cookie | None = None) -> Answer:
    """Send the browser to another page of the console."""
    answer = Response(b"", status_code=303, headers={"Location": path})
    return finished(request, answer, cookie=cookie)


def hand_out(request: Requested, content: bytes, *, name: str, media_type: str) -> Answer:
    """Hand out a file under a name that names nobody."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return finished(request, Response(content, media_type=media_type, headers=headers))


def finished(request: Requested, answer: _Sent, *, cookie: Cookie | None = None) -> _Sent:
    """Add what every answer carries; somebody being there goes on with their session."""
    answer.headers.update(HEADERS)
    if cookie is not None:
        answer.set_cookie(cookie)
    elif REFRESH_HEADER not in request.headers and int(answer.status_code or 200) < 500:
        session = msgspec.structs.replace(visit_of(request).session, seen=clock.now())
        answer.set_cookie(cookie_of(request, session))
    return answer


def _may(visit: Visit, path: str) -> bool:
    roles = visit.actor.roles if visit.actor is not None else frozenset()
    return bool(access.CONSOLE.get(("GET", path), frozenset()) & roles)


def _may_cancel(visit: Visit, job: JobView) -> bool:
    return visit.actor is not None and bool(access.WORKING & visit.actor.roles & set(job.roles))


def _failure(language: str, reason: str, detail: str) -> str:
    """Say why a job failed, as the refusal that ended it is told."""
    place = _LANGUAGES.index(language)
    if detail in REASONS:
        return REASONS[detail][place]
    if reason in _REFUSED:
        return _REFUSED[reason][place]
    key = f"failure.{reason}"
    return say(language, key if key in WORDS else "failure.other")


def _moment(language: str, at: datetime) -> str:
    form = "%d/%m/%Y %H:%M" if language == "es" else "%Y-%m-%d %H:%M"
    return at.astimezone(clock.PERU).strftime(form)


def _number(language: str, number: int) -> str:
    """In Peru, as in English, a comma parts thousands; Spanish spelling asks for a blank."""
    return f"{number:,}".replace(",", "\u202f" if language == "es" else ",")
