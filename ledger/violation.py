"""Which constraint a failed statement broke: its name is what refusals are mapped from."""

from sqlalchemy.exc import DBAPIError


def constraint_of(error: DBAPIError) -> str:
    """Return the broken constraint's name; re-raises `error` when it was none."""
    cause: BaseException | None = error.orig
    while cause is not None:
        name = getattr(cause, "constraint_name", None)
        if isinstance(name, str):
            return name
        cause = cause.__cause__
    raise error
