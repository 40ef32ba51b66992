"""Files of registrations: sent, watched, looked at, taken in or refused."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Literal
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncConnection

from api import jobs, uploads
from api.check_files import MEDIA_TYPES
from api.console.form import FORM_BYTES_MAX, Form, read_form, read_upload
from api.console.pages import Answer, finished, go, hand_out, show
from api.console.session import language_of
from api.db import Actor
from api.page import AfterNumber, Page
from api.sending import Declared, send
from api.state import Requested, Service
from api.uploads import Acceptance
from cbi.imported import ImportEntry, RowFault, RowStanding, Standing, numbers_of
from cbi.intake import BYTES_MAX, REASONS, Format, template
from cbi.intake.annotate import Language
from cbi.job import JobView
from cbi.refusal import FileUnreadable

ENDINGS: dict[str, Format] = {
    "csv": "csv",
    "txt": "csv",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
    "json": "json",
    "ndjson": "ndjson",
    "jsonl": "ndjson",
}
IMPORTS_ON_A_PAGE = 25
ROWS_ON_A_PAGE = 50
Shown = Literal["all", "faulty", "review", "clear", "waiting"]

Faults = dict[str, tuple[str, dict[str, object]]]


@get("/imports")
async def show_imports(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[UUID | None] = None,
) -> Answer:
    """List the organisation's files, newest first."""
    found: Page[ImportEntry] = await uploads.list_imports.fn(
        conn=conn, actor=actor, after=after, limit=IMPORTS_ON_A_PAGE
    )
    return show(request, "imports.html", imports=found.items, next=found.next)


@get("/imports/new")
async def show_new(request: Requested) -> Answer:
    """Ask for a file."""
    return show(request, "import_new.html", faults={}, filled=Form(fields={}))


@post("/imports/new", request_max_body_size=BYTES_MAX + FORM_BYTES_MAX)
async def send_import(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
) -> Answer:
    """Take a file and have it staged; the same file again is the import that it already is."""
    async with read_upload(request) as form:
        return await _sent(request, form, service=service, actor=actor)


@get("/template")
async def read_template(request: Requested) -> Answer:
    """Hand out the workbook that registrars fill in."""
    language: Literal["es", "en"] = "en" if language_of(request) == "en" else "es"
    content = await asyncio.to_thread(template.write, language)
    name = "households.xlsx" if language == "en" else "hogares.xlsx"
    return hand_out(request, content, name=name, media_type=MEDIA_TYPES["xlsx"])


@get("/imports/{import_id:uuid}")
async def show_import(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
    status: FromQuery[Shown | None] = None,
    after: AfterNumber = 0,
) -> Answer:
    """Show where an import stands, its rows, and what may be done with it."""
    return await _page_of(request, conn, service, import_id, status=status, after=after)


@get("/imports/{import_id:uuid}/corrections")
async def read_corrections(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
) -> Stream:
    """Hand out the faulty rows with what is wrong, to who sent the file."""
    language: Language = "en" if language_of(request) == "en" else "es"
    answer: Stream = await uploads.read_corrections.fn(
        conn=conn, actor=actor, service=service, import_id=import_id, language=language
    )
    return finished(request, answer)


@post("/imports/{import_id:uuid}/acceptance")
async def accept_import(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
) -> Answer:
    """Take in the whole file, what is right of it, or the rows that were chosen."""
    form = await read_form(request)
    take: Literal["all", "valid"] | list[int] | None
    match form.one("take"):
        case "all":
            take = "all"
        case "valid":
            take = "valid"
        case "rows":
            take = chosen(form.all("row"), form.one("rows"))
        case _:
            take = None
    if not take:
        fault = "import.rows_unread" if form.one("take") == "rows" else "import.take_missing"
        return await _page_of(
            request, conn, service, import_id, faults={"take": (fault, {})}, filled=form
        )
    await uploads.accept_import.fn(
        request=request, conn=conn, actor=actor, import_id=import_id, data=Acceptance(take=take)
    )
    return go(request, f"/console/imports/{import_id}")


@post("/imports/{import_id:uuid}/refusal")
async def refuse_import(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    import_id: FromPath[UUID],
) -> Answer:
    """Take nothing of the file, and erase what it said."""
    form = await read_form(request)
    if form.one("sure") != "yes":
        faults: Faults = {"sure": ("import.sure_missing", {})}
        return await _page_of(request, conn, service, import_id, faults=faults, filled=form)
    await uploads.refuse_import.fn(request=request, conn=conn, actor=actor, import_id=import_id)
    return go(request, f"/console/imports/{import_id}")


def chosen(ticked: Sequence[str], written: str) -> list[int] | None:
    """Read the rows that were ticked and those written as "1-20, 35"; None for anything else."""
    parts = re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", written))
    try:
        return numbers_of(",".join([*ticked, *filter(None, parts)]))
    except ValueError:
        return None


def said(request: Requested, reason: str) -> str:
    """Say why a file can't be read."""
    return REASONS[reason][0 if language_of(request) == "es" else 1]


def faults_told(row: RowStanding, language: str) -> Iterator[tuple[RowFault, str, str]]:
    """Each fault of a row with its text and its remedy; the place stands in columns of its own.

    One cell may be wrong for several fields: it is told once.
    """
    for fault in dict.fromkeys(row.faults):
        text, remedy = (
            (fault.es, fault.remedy_es) if language == "es" else (fault.en, fault.remedy_en)
        )
        yield fault, text.removeprefix(f"{_place(fault, language)}: "), remedy


def _place(fault: RowFault, language: str) -> str:
    sheet, row, column = ("hoja", "fila", "columna") if language == "es" else _PLACES_EN
    place = f"{row} {fault.row}"
    if fault.column:
        place = f"{place}, {column} {fault.column}"
    return f"{sheet} {fault.sheet}, {place}" if fault.sheet else place


_PLACES_EN = ("sheet", "row", "column")


async def _sent(request: Requested, form: Form, *, service: Service, actor: Actor) -> Answer:
    faults, kind = _faults_of(form)
    content = form.upload.content if form.upload is not None else b""
    if not faults and kind is not None:
        declared = Declared(
            format=kind, ubigeo_system=form.one("ubigeo_system"), accept_valid=False
        )
        request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
        try:
            sent = await send(service, content, declared, actor=actor, request_id=request_id)
        except FileUnreadable as refused:
            faults["file"] = ("said", {"text": said(request, refused.reason)})
        else:
            return go(request, f"/console/imports/{sent.import_id}")
    return show(request, "import_new.html", status=422, faults=faults, filled=form)


def _faults_of(form: Form) -> tuple[Faults, Format | None]:
    faults: Faults = {}
    kind: Format | None = None
    if form.upload is None:
        faults["file"] = ("upload.missing", {})
    else:
        kind = ENDINGS.get(form.upload.ending)
        if kind == "json" and form.one("source") == "kobo":
            kind = "kobo"
        if kind is None:
            faults["file"] = ("upload.ending", {})
    if form.one("ubigeo_system") not in ("inei", "reniec"):
        faults["ubigeo_system"] = ("upload.ubigeo_missing", {})
    return faults, kind


async def _page_of(
    request: Requested,
    conn: AsyncConnection,
    service: Service,
    import_id: UUID,
    *,
    status: Shown | None = None,
    after: int = 0,
    faults: Faults | None = None,
    filled: Form | None = None,
) -> Answer:
    standing: Standing = await uploads.show_import.fn(conn=conn, import_id=import_id)
    job: JobView | None = None
    if standing.job_id is not None:
        job = await jobs.show_job.fn(conn=conn, job_id=standing.job_id)
    if status is None:
        status = "faulty" if standing.faulty else "all"
    rows: Page[RowStanding] = await uploads.list_rows.fn(
        conn=conn,
        service=service,
        import_id=import_id,
        status=None if status == "all" else status,
        after=after,
        limit=ROWS_ON_A_PAGE,
    )
    return show(
        request,
        "import.html",
        status=422 if faults else 200,
        standing=standing,
        job=job,
        rows=rows,
        shown=status,
        faults=faults or {},
        filled=filled or Form(fields={}),
        told=lambda row: list(faults_told(row, language_of(request))),
    )


HANDLERS = (
    show_imports,
    show_new,
    send_import,
    read_template,
    show_import,
    read_corrections,
    accept_import,
    refuse_import,
)
