"""The kinds of jobs there are, by the name a job carries, and what is done without being asked."""

from api import appeals, check_files, check_jobs, importing, messages, retaining, simulations
from api.worker import Duty, Kind

KINDS: dict[str, Kind] = {**importing.KINDS, check_jobs.KIND: check_jobs.CHECK_FILE}
DUTIES: tuple[Duty, ...] = (
    *importing.DUTIES,
    *messages.DUTIES,
    check_files.DESTROY,
    simulations.DROP,
    retaining.LET_GO,
    appeals.ERASE,
)
