"""The kinds of jobs there are, by the name a job carries, and what is done without being asked."""

from api import check_files, importing, messages
from api.worker import Duty, Kind

KINDS: dict[str, Kind] = {**importing.KINDS, check_files.KIND: check_files.CHECK_FILE}
DUTIES: tuple[Duty, ...] = (*importing.DUTIES, *messages.DUTIES, check_files.DESTROY)
