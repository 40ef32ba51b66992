"""Refusals of files that are checked."""

from dataclasses import dataclass

from cbi.refusal import CbiRefusal


@dataclass(kw_only=True, eq=False)
class CheckFileTooLarge(CbiRefusal):
    """The file has more persons than fit the days that it may be spread over."""

    persons: int
    persons_fit: int
    persons_per_day: int
    days: int
