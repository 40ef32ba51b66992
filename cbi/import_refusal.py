"""Refusals of long work and of imported files, beside the others of the programme."""

from dataclasses import dataclass
from uuid import UUID

from cbi.refusal import CbiRefusal


@dataclass(kw_only=True, eq=False)
class TooManyJobs(CbiRefusal):
    """The organisation has as many jobs waiting or running as it may have."""

    jobs_max: int


@dataclass(kw_only=True, eq=False)
class JobEnded(CbiRefusal):
    """The job was over before it could be cancelled."""

    job_id: UUID
    state: str


@dataclass(kw_only=True, eq=False)
class TooManyImports(CbiRefusal):
    """The organisation keeps as many files as it may: decide on some first."""


@dataclass(kw_only=True, eq=False)
class ImportErased(CbiRefusal):
    """What the file said is erased."""

    import_id: UUID


@dataclass(kw_only=True, eq=False)
class PieceDiffers(CbiRefusal):
    """Another piece was sent under this number."""

    import_id: UUID
    piece_no: int


@dataclass(kw_only=True, eq=False)
class ImportNotReady(CbiRefusal):
    """The file is not at the point where this can be decided."""

    import_id: UUID
    state: str


@dataclass(kw_only=True, eq=False)
class ImportDecided(CbiRefusal):
    """It was decided before what to do with this file."""

    import_id: UUID


@dataclass(kw_only=True, eq=False)
class ImportFaulty(CbiRefusal):
    """The file can't be taken as a whole, for some rows have errors."""

    import_id: UUID
    faulty: int
