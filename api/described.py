"""Failures in the OpenAPI document: every route tells them as problems of one form."""

from collections.abc import Iterator

from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
)

from api import problems
from api.wording import Wording

TEXT = Schema(type=OpenAPIType.STRING)
PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    title="Problem",
    description=(
        "RFC 9457. `type` is stable; further members are facts of the refusal, such as `faults`."
    ),
    properties={
        "type": TEXT,
        "title": TEXT,
        "title_es": TEXT,
        "status": Schema(type=OpenAPIType.INTEGER),
        "instance": TEXT,
    },
    required=["type", "title", "title_es", "status", "instance"],
)


def describe_failures(document: OpenAPI) -> None:
    """Replace the framework's failures in the document by the problems that are sent."""
    assert document.components is not None
    assert document.paths is not None
    document.components.schemas = {**(document.components.schemas or {}), "Problem": PROBLEM}
    for path, item in document.paths.items():
        for method, operation in (*(("GET", item.get), ("POST", item.post), ("PUT", item.put)),):
            if operation is None:
                continue
            done = {
                status: answer
                for status, answer in (operation.responses or {}).items()
                if status.startswith("2")
            }
            told = {str(each.status): _told(each) for each in _failures(method, path, operation)}
            operation.responses = {**done, **told}


def _failures(method: str, path: str, operation: Operation) -> Iterator[Wording]:
    if path == "/health/live":
        return
    if path.startswith("/v1/"):
        if operation.parameters or operation.request_body:
            yield problems.HTTP[400]
        yield problems.HTTP[401]
        yield problems.HTTP[403]
    if "{" in path:
        yield problems.HTTP[404]
    if method in {"POST", "PUT"}:
        yield Wording(409, "", "", "Refused as things stand; `type` says by which rule")
        yield problems.HTTP[413]
        yield problems.HTTP[422]
    if path in {"/v1/imports", "/v1/check", "/v1/imports/uploads"}:
        yield problems.HTTP[429]
    yield problems.UNAVAILABLE


def _told(wording: Wording) -> OpenAPIResponse:
    schema = Reference(ref="#/components/schemas/Problem")
    return OpenAPIResponse(
        description=wording.en, content={problems.MEDIA_TYPE: OpenAPIMediaType(schema=schema)}
    )
