"""The kinds of jobs there are: one table, by the name that a job carries."""

from api.worker import Kind

KINDS: dict[str, Kind] = {}
