"""The kinds of jobs there are: one table, by the name that a job carries."""

from api import check_files
from api.worker import Duty, Kind

KINDS: dict[str, Kind] = {check_files.KIND: check_files.CHECK_FILE}
DUTIES: tuple[Duty, ...] = (check_files.DESTROY,)
