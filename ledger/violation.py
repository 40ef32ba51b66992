"""Which constraint a failed statement broke: its name is what refusals are mapped from."""

from sqlalchemy.exc import DBAPIError


def constraint_of(error: DBAPIError) -> str:
    """Return the broken constraint's name; re-raises `error` when it was none."""
    name = _told(error, "constraint_name")
    if name is None:
        raise error
    return name


def detail_of(error: DBAPIError) -> str:
    """Return what the database tells besides; '' for nothing."""
    return _told(error, "detail") or ""


def _told(error: DBAPIError, what: str) -> str | None:
    cause: BaseException | None = error.orig
    while cause is not None:
        told = getattr(cause, what, None)
        if isinstance(told, str):
            return told
        cause = cause.__cause__
    return None
