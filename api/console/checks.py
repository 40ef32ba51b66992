"""Check a list: a file is sent, watched, and comes back with three more columns."""

import re
from collections.abc import Sequence
from datetime import date
from typing import cast, get_args
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncConnection

from api import access, check, check_files, check_jobs, clock, jobs, programmes
from api.check import wanted_of
from api.console.form import FORM_BYTES_MAX, Form, read_upload
from api.console.imports import ENDINGS, Faults
from api.console.pages import Answer, finished, go, show
from api.console.session import language_of
from api.db import Actor
from api.page import LIMIT_MAX, Page
from api.state import Requested, Service
from cbi import holds, lists
from cbi.check_files import KEPT_DAYS, CheckFormat
from cbi.enrol import Programme
from cbi.household import Assistance
from cbi.intake import BYTES_MAX
from cbi.intake.words import LABELS
from cbi.job import JobView
from cbi.lists import CheckList, Purpose
from cbi.overlap import MONTHS_MAX, Span
from cbi.own import Wanted
from cbi.place import UbigeoSystem

PURPOSES: Sequence[str] = get_args(Purpose)
ASSISTANCE: Sequence[str] = get_args(Assistance)
MONTH = re.compile(r"(20[0-9]{2}|21[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)
# The form's word for "no list yet".
NEW_LIST = "new"
# How the lists are named that are opened for one file, and offered for no other.
OF_THE_DAY = "consola "


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A list that may be checked; a programme serves every purpose."""

    list_id: UUID
    name: str
    purpose: str = ""


@get("/checks/new")
async def show_new(
    request: Requested, conn: NamedDependency[AsyncConnection], actor: NamedDependency[Actor]
) -> Answer:
    """Ask for a file, and what it is checked for."""
    return await _form(request, conn, actor, faults={}, filled=Form(fields={}))


@post("/checks/new", request_max_body_size=BYTES_MAX + FORM_BYTES_MAX)
async def send_check(
    request: Requested, actor: NamedDependency[Actor], service: NamedDependency[Service]
) -> Answer:
    """Take a file and have it checked; nobody is registered."""
    async with read_upload(request) as form:
        request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
        async with service.begin(actor, request_id=request_id) as conn:
            return await _sent(request, conn, form, service=service, actor=actor)


@get("/checks/{job_id:uuid}")
async def show_check(
    request: Requested, conn: NamedDependency[AsyncConnection], job_id: FromPath[UUID]
) -> Answer:
    """Show how far a check is, and what came of it."""
    job = await _job_of(conn, job_id)
    return show(request, "check.html", job=job, days=KEPT_DAYS)


@get("/checks/{job_id:uuid}/file")
async def read_checked(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    job_id: FromPath[UUID],
) -> Answer:
    """Hand out the checked file."""
    job = await _job_of(conn, job_id)
    answer: Response[bytes] = await check_files.read_file.fn(
        conn=conn, service=service, file_id=job.subject_id
    )
    return finished(request, answer)


async def _sent(
    request: Requested, conn: AsyncConnection, form: Form, *, service: Service, actor: Actor
) -> Answer:
    faults: Faults = {}
    kind = _kind_of(form, faults)
    system = _system_of(form, faults)
    wanted = _wanted_of(form, faults)
    if form.one("purpose") not in PURPOSES:
        faults["purpose"] = ("check.purpose_missing", {})
    list_id = _list_of(form, faults)
    if faults or kind is None or form.upload is None:
        return await _form(request, conn, actor, faults=faults, filled=form)
    purpose = cast(Purpose, form.one("purpose"))
    asked = check_files.ToCheck(
        format=kind,
        ubigeo_system=system,
        purpose=purpose,
        list_id=list_id or await _new_list(conn, purpose),
        wanted=wanted,
    )
    job = await check_files.take_in(conn, form.upload.content, asked, service=service, actor=actor)
    return go(request, f"/console/checks/{job.job_id}")


async def _job_of(conn: AsyncConnection, job_id: UUID) -> JobView:
    job: JobView = await jobs.show_job.fn(conn=conn, job_id=job_id)
    if job.kind != check_jobs.KIND:
        raise NotFoundException
    return job


async def _form(
    request: Requested, conn: AsyncConnection, actor: Actor, *, faults: Faults, filled: Form
) -> Answer:
    language = language_of(request)
    words = LABELS.values["assistance_wanted"]
    return show(
        request,
        "check_new.html",
        status=422 if faults else 200,
        faults=faults,
        filled=filled,
        purposes=PURPOSES,
        choices=await _choices(conn, actor),
        assistance=[(code, words[code][language]) for code in ASSISTANCE],
        months_max=MONTHS_MAX,
    )


async def _choices(conn: AsyncConnection, actor: Actor) -> list[Choice]:
    """The lists that are in use, and the programmes of who may see them."""
    named: Page[CheckList] = await check.list_lists.fn(conn=conn, limit=LIMIT_MAX)
    today = clock.today()
    choices = [
        Choice(list_id=each.list_id, name=each.name, purpose=each.purpose)
        for each in named.items
        if each.until >= today and not each.name.startswith(OF_THE_DAY)
    ]
    if access.MAY["GET", "/v1/programmes"] & actor.roles:
        own: Page[Programme] = await programmes.list_programmes.fn(conn=conn, limit=LIMIT_MAX)
        choices += [
            Choice(list_id=each.programme_id, name=f"{each.code} · {each.name}")
            for each in own.items
        ]
    return choices


async def _new_list(conn: AsyncConnection, purpose: Purpose) -> UUID:
    """Open a list of this day for one file."""
    opened = CheckList(
        list_id=clock.new_id(),
        name=f"{OF_THE_DAY}{clock.now().isoformat(timespec='microseconds')}",
        purpose=purpose,
        until=clock.today(),
    )
    return (await lists.open_list(conn, opened, at=clock.now())).list_id


def _kind_of(form: Form, faults: Faults) -> CheckFormat | None:
    if form.upload is None:
        faults["file"] = ("upload.missing", {})
        return None
    if not form.upload.content.strip():
        faults["file"] = ("upload.empty", {})
    kind = ENDINGS.get(form.upload.ending)
    if kind is None:
        faults["file"] = ("upload.ending", {})
        return None
    return "kobo" if kind == "json" and form.one("source") == "kobo" else kind


def _system_of(form: Form, faults: Faults) -> UbigeoSystem | None:
    """A file without district codes, or one that says whose they are, needs no word here."""
    match form.one("ubigeo_system"):
        case "":
            return None
        case "inei":
            return "inei"
        case "reniec":
            return "reniec"
        case _:
            faults["ubigeo_system"] = ("upload.ubigeo_missing", {})
            return None


def _list_of(form: Form, faults: Faults) -> UUID | None:
    written = form.one("list")
    if written in ("", NEW_LIST):
        return None
    try:
        return UUID(written)
    except ValueError:
        faults["list"] = ("check.list_unknown", {})
        return None


def _wanted_of(form: Form, faults: Faults) -> Wanted | None:
    kind, first, months = form.one("assistance"), form.one("first_month"), form.one("months")
    if not kind and not first:
        return None
    if kind not in ASSISTANCE:
        faults["assistance"] = ("check.assistance_missing", {})
        return None
    span = _span_of(first, months, faults)
    return None if span is None else wanted_of(cast(Assistance, kind), span)


def _span_of(first: str, months: str, faults: Faults) -> Span | None:
    found = MONTH.fullmatch(first)
    if found is None:
        faults["first_month"] = ("check.month_form", {})
    is_number = months.isascii() and months.isdigit() and 1 <= int(months[:4]) <= MONTHS_MAX
    if not is_number:
        faults["months"] = ("check.months_form", {"months": MONTHS_MAX})
    if found is None or not is_number:
        return None
    return holds.span_of(date(int(found[1]), int(found[2]), 1), int(months))


HANDLERS = (show_new, send_check, show_check, read_checked)
