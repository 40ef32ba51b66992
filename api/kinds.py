"""The kinds of jobs there are, by the name a job carries, and what is done without being asked."""

from api import check_files, check_jobs, importing
from api.worker import Duty, Kind

KINDS: dict[str, Kind] = {**importing.KINDS, check_jobs.KIND: check_jobs.CHECK_FILE}
DUTIES: tuple[Duty, ...] = (*importing.DUTIES, check_files.DESTROY)
