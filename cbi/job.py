"""Work that takes longer than a request: a job, how far it is, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

State = Literal["waiting", "running", "done", "failed", "cancelled"]
End = Literal["done", "failed", "cancelled"]


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its maker wants it; `roles` are those that it needs of its maker's."""

    job_id: UUID
    kind: str
    roles: tuple[str, ...]
    subject_id: UUID | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as a worker takes it up, with the rights that it works with."""

    job_id: UUID
    kind: str
    partner_id: UUID
    partner_code: str
    actor_id: UUID
    subject_id: UUID | None
    key_prefix: str | None
    roles: tuple[str, ...]
    area: str
    request_id: str
    made_at: datetime
    takes: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is after a chunk, and where the next goes on.

    `cursor` and `result` hold counts, ids and codes, nothing of anybody. With a `result` the job
    is done; with `goes_on_at` it rests until then, which its cursor says as well.
    """

    done: int
    total: int
    cursor: Mapping[str, object] = {}
    result: Mapping[str, object] | None = None
    goes_on_at: datetime | None = None


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The last chunk of a job as it was marked."""

    chunk_no: int
    done: int
    total: int
    cursor: Mapping[str, object]


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its organisation may see it; `done` of `total` says how far it is."""

    job_id: UUID
    kind: str
    partner_id: UUID
    actor_id: UUID
    subject_id: UUID | None
    request_id: str
    roles: tuple[str, ...]
    state: State
    done: int
    total: int
    made_at: datetime
    started_at: datetime | None
    at: datetime
    ended_at: datetime | None
    result: Mapping[str, object] | None
    # A job that rests goes on by itself then.
    goes_on_at: datetime | None = None
