"""The kinds of jobs there are, by the name a job carries, and what is done without being asked."""

from api import importing
from api.worker import Duty, Kind

KINDS: dict[str, Kind] = {**importing.KINDS}
DUTIES: tuple[Duty, ...] = (*importing.DUTIES,)
