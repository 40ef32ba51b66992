"""Forms as a browser sends them: small fields, at most one file, and the token of their session.

A file of people stays in memory; the framework would write a large one to disk.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
from litestar.exceptions import (
    ClientException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from api.access import CONSOLE_PUBLIC
from api.console.session import VISITING, Session, is_token, session_of, visit_of
from api.state import Requested, service_of

FIELDS_MAX = 1_000
FIELD_BYTES_MAX = 500_000
# Beside the file: its form's fields and headers.
FORM_BYTES_MAX = 1_000_000
FILES_AT_ONCE = asyncio.Semaphore(8)
TOKEN = "token"  # noqa: S105 -- the field's name


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a form; of its name, which may name somebody, only the ending is kept."""

    ending: str
    content: bytes


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What was filled in."""

    fields: Mapping[str, list[str]]
    upload: Upload | None = None

    def one(self, name: str) -> str:
        """Return a field's first value, "" if it was left empty."""
        return self.fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        return self.fields.get(name, [])


async def read_form(request: Requested) -> Form:
    """Read a form without a file, and refuse one that this console didn't hand to this session."""
    _must_be_ours(request)
    form = _plain(await request.body())
    _must_have_token(request, form)
    return form


@asynccontextmanager
async def read_upload(request: Requested) -> AsyncIterator[Form]:
    """Read a form with a file as `read_form` does; so many are held in memory at once."""
    _must_be_ours(request)
    if FILES_AT_ONCE.locked():
        raise TooManyRequestsException
    async with FILES_AT_ONCE:
        kind, options = request.content_type
        if kind == "multipart/form-data":
            form = await parse_multipart(request.stream(), options.get("boundary", ""))
        else:
            form = _plain(await request.body())
        _must_have_token(request, form)
        yield form


async def parse_multipart(body: AsyncIterator[bytes], boundary: str) -> Form:
    """Read a form with a file, as it comes in; raises ClientException."""
    reader = _Reader()
    try:
        with PushMultipartParser(
            boundary, max_segment_count=FIELDS_MAX, max_header_size=4096
        ) as parser:
            async for chunk in body:
                for event in parser.parse(chunk):
                    reader.take(event)
                if parser.closed:
                    break
    except (MultipartError, ValueError):
        raise ClientException from None
    return Form(fields=reader.fields, upload=reader.upload)


def _must_have_token(request: Requested, form: Form) -> None:
    service, token = service_of(request), form.one(TOKEN)
    if not any(is_token(service, each, token) for each in _sessions(request)):
        raise PermissionDeniedException


def _sessions(request: Requested) -> Iterator[Session]:
    """Whose forms are taken: the session's, and a visitor's where one need not be signed in.

    A page that isn't there is shown to a visitor, whoever asked for it.
    """
    yield visit_of(request).session
    visitor = session_of(request, VISITING)
    if visitor is not None and (request.method, request.scope["path_template"]) in CONSOLE_PUBLIC:
        yield visitor


def _must_be_ours(request: Requested) -> None:
    """Refuse what another site sends.

    Under `Referrer-Policy: no-referrer` browsers send forms with the origin "null", and say beside
    it that they come from here.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise PermissionDeniedException
    if origin is not None and origin != "null":
        if urlsplit(origin).netloc != request.headers.get("Host", ""):
            raise PermissionDeniedException
    elif site is None:
        raise PermissionDeniedException


def _plain(body: bytes) -> Form:
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise ClientException from None
    return Form(fields=fields)


class _Reader:
    """Collects the parts of a form."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.upload: Upload | None = None
        self._part: MultipartSegment | None = None
        self._data = bytearray()

    def take(self, event: MultipartSegment | bytearray | None) -> None:
        """Take a part's head, some of its bytes, or its end."""
        if isinstance(event, MultipartSegment):
            self._part, self._data = event, bytearray()
        elif event is None:
            self._end()
        else:
            self._data += event
            if self._part is not None and self._part.filename is None:
                self._must_be_short()

    def _must_be_short(self) -> None:
        if len(self._data) > FIELD_BYTES_MAX:
            raise ValueError("a field is too long")

    def _end(self) -> None:
        part = self._part
        assert part is not None
        if part.filename is None:
            self.fields.setdefault(part.name or "", []).append(self._data.decode())
        elif part.filename and self.upload is None:
            # A field without a choice comes as a file without a name.
            ending = part.filename.rpartition(".")[2].lower()
            self.upload = Upload(ending=ending, content=bytes(self._data))
