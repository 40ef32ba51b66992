"""Settings: environment variables only, read once, printed with their secrets masked."""

import base64
import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec
from sqlalchemy import make_url

SECRETS = ("sealing_key", "matching_key", "signing_key")
KEY_BYTES = 32
# Two imports at once hold two connections each.
POOL_SIZE_MIN = 5


class SettingsFault(Exception):
    """A setting is missing or malformed; the message names it and never shows it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the program was told. Addresses are SQLAlchemy's; "" means the embedded server."""

    env: str
    data_dir: Path
    host: str
    port: int
    database_url: str
    owner_database_url: str
    pool_size: int
    body_bytes_max: int
    statement_bytes_max: int
    check_persons_per_day: int
    simulations_per_day: int
    refused_months: int
    slip_days: int
    appeal_working_days: int
    appeal_kept_days: int
    act_working_days: int
    appeal_tries_per_day: int
    check_hours_max: int
    chunk_payments: int
    work_seconds: int
    jobs_at_once: int
    write_off_max_minor: int
    log_level: str
    sealing_key: bytes
    matching_key: bytes
    signing_key: bytes

    def __repr__(self) -> str:
        """Tell no key and no password, wherever this is printed."""
        return f"Settings(env={self.env!r})"

    @property
    def embedded(self) -> bool:
        return self.database_url == ""

    @property
    def app_password(self) -> str:
        """The password in CBI_DATABASE_URL: what `cbi migrate` gives the service's role."""
        return (make_url(self.database_url).password or "") if self.database_url else ""


# Variable, default, meaning: the README's table is checked against this one.
VARIABLES: tuple[tuple[str, str, str], ...] = (
    ("CBI_ENV", "development", "`production` refuses to start without keys from outside"),
    ("CBI_DATA_DIR", "", "folder of the embedded database and the development keys"),
    ("CBI_HOST", "127.0.0.1", "address to listen on"),
    ("CBI_PORT", "8000", "port to listen on"),
    ("CBI_DATABASE_URL", "", "PostgreSQL 18 as the role cbi_app; empty: the embedded one"),
    ("CBI_OWNER_DATABASE_URL", "", "the same database as its owner, for `cbi migrate` only"),
    ("CBI_POOL_SIZE", "10", "database connections of one process, 5 to 100"),
    ("CBI_BODY_BYTES_MAX", "10485760", "largest request body in bytes"),
    ("CBI_STATEMENT_BYTES_MAX", "1073741824", "largest file of a bank in bytes"),
    ("CBI_CHECK_PERSONS_PER_DAY", "5000", "persons that one organisation may check a day"),
    ("CBI_CHECK_HOURS_MAX", "24", "a payment list older than its check is not approved, 1 to 168"),
    ("CBI_SIMULATIONS_PER_DAY", "20", "simulations of one organisation a day, 0 to 1000"),
    ("CBI_REFUSED_MONTHS", "12", "months that refused attempts are kept for simulations, 1 to 24"),
    ("CBI_SLIP_DAYS", "90", "days in which a refusal may be appealed, 1 to 730"),
    ("CBI_APPEAL_WORKING_DAYS", "10", "working days in which an appeal is decided, 1 to 60"),
    ("CBI_APPEAL_KEPT_DAYS", "180", "days that what an appeal said is kept after it, 1 to 3650"),
    ("CBI_ACT_WORKING_DAYS", "5", "working days to act on a reversal, 1 to 60"),
    ("CBI_APPEAL_TRIES_PER_DAY", "200", "slips' codes that one organisation may try a day"),
    ("CBI_CHUNK_PAYMENTS", "10000", "payments of one part of a payment file, 1 to 10000"),
    ("CBI_WORK_SECONDS", "20", "a large round's step answers 202 after so long, 0 to 300"),
    ("CBI_JOBS_AT_ONCE", "2", "jobs that one process works on at once, 0 to 8; 0: others do"),
    ("CBI_WRITE_OFF_MAX_MINOR", "5000", "largest write-off of a break, in minor units"),
    ("CBI_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR"),
    ("CBI_SEALING_KEY", "", "32 bytes in base64: wraps the data keys of households"),
    ("CBI_MATCHING_KEY", "", "32 bytes in base64: makes the matching keys"),
    ("CBI_SIGNING_KEY", "", "32 bytes in base64: Ed25519 seed that signs ledger checkpoints"),
)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; each may also come from a file that `CBI_…_FILE` names.

    In development, keys that are not given are made in the data folder, with mode 0600.
    Raises SettingsFault, naming the variable.
    """
    env = dict(os.environ if environ is None else environ)
    values = {name: _value(name, env) or default for name, default, _ in VARIABLES}
    mode = values["CBI_ENV"]
    if mode not in ("development", "production"):
        raise SettingsFault("CBI_ENV must be development or production")
    data_dir = Path(values["CBI_DATA_DIR"] or _default_data_dir()).expanduser().absolute()
    keys = {name: _key(name, env, data_dir, mode) for name in SECRETS}
    return Settings(
        env=mode,
        data_dir=data_dir,
        host=values["CBI_HOST"],
        port=_number(values, "CBI_PORT", 0, 65535),
        database_url=_address(values, "CBI_DATABASE_URL"),
        owner_database_url=_address(values, "CBI_OWNER_DATABASE_URL"),
        pool_size=_number(values, "CBI_POOL_SIZE", POOL_SIZE_MIN, 100),
        body_bytes_max=_number(values, "CBI_BODY_BYTES_MAX", 1024, 1024**3),
        statement_bytes_max=_number(values, "CBI_STATEMENT_BYTES_MAX", 1024, 2**40),
        check_persons_per_day=_number(values, "CBI_CHECK_PERSONS_PER_DAY", 0, 10**9),
        simulations_per_day=_number(values, "CBI_SIMULATIONS_PER_DAY", 0, 1000),
        refused_months=_number(values, "CBI_REFUSED_MONTHS", 1, 24),
        slip_days=_number(values, "CBI_SLIP_DAYS", 1, 730),
        appeal_working_days=_number(values, "CBI_APPEAL_WORKING_DAYS", 1, 60),
        appeal_kept_days=_number(values, "CBI_APPEAL_KEPT_DAYS", 1, 3650),
        act_working_days=_number(values, "CBI_ACT_WORKING_DAYS", 1, 60),
        appeal_tries_per_day=_number(values, "CBI_APPEAL_TRIES_PER_DAY", 0, 10**6),
        check_hours_max=_number(values, "CBI_CHECK_HOURS_MAX", 1, 168),
        chunk_payments=_number(values, "CBI_CHUNK_PAYMENTS", 1, 10_000),
        work_seconds=_number(values, "CBI_WORK_SECONDS", 0, 300),
        jobs_at_once=_number(values, "CBI_JOBS_AT_ONCE", 0, 8),
        write_off_max_minor=_number(values, "CBI_WRITE_OFF_MAX_MINOR", 0, 10**9),
        log_level=_level(values["CBI_LOG_LEVEL"]),
        **keys,
    )


def masked(settings: Settings) -> dict[str, str]:
    """Every setting by its variable's name, with keys and passwords masked."""
    shown = {}
    for name, _, _ in VARIABLES:
        value = getattr(settings, name.removeprefix("CBI_").lower())
        if isinstance(value, bytes):
            shown[name] = "(set)"
        elif name.endswith("DATABASE_URL"):
            shown[name] = _without_password(str(value)) or (
                "(embedded)" if settings.embedded else "(not set)"
            )
        else:
            shown[name] = str(value)
    return shown


def _default_data_dir() -> str:
    # As root, a folder below /var/lib: PostgreSQL runs as another user and must reach it, and
    # opening the way to a folder below /root would show root's home to everybody.
    return "/var/lib/cbi" if os.geteuid() == 0 else "~/.local/share/cbi"


def _value(variable: str, env: Mapping[str, str]) -> str:
    """Return a variable's value, or the content of the file that its `_FILE` names."""
    text, file = env.get(variable, ""), env.get(f"{variable}_FILE", "")
    if text or not file:
        return text
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsFault(f"{variable}_FILE can't be read") from None


def _key(name: str, env: Mapping[str, str], data_dir: Path, mode: str) -> bytes:
    variable = f"CBI_{name.upper()}"
    text = _value(variable, env)
    if not text and mode == "production":
        raise SettingsFault(f"{variable} or {variable}_FILE must be set in production")
    return _decode(text, variable) if text else _development_key(data_dir / "keys", name)


def _development_key(folder: Path, name: str) -> bytes:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _made_once(folder, name)
    except OSError as error:
        raise SettingsFault(f"CBI_DATA_DIR can't be used: {error.strerror}") from error


def _made_once(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.exists():
        # Exclusive and 0600 from the first byte; of two processes that start, one makes it.
        fresh = folder / f".{name}.{secrets.token_hex(8)}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return _decode(path.read_text(encoding="ascii").strip(), str(path))


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        raise SettingsFault(f"{where} is not base64") from None
    if len(key) != KEY_BYTES:
        raise SettingsFault(f"{where} must hold {KEY_BYTES} bytes")
    return key


def _number(values: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = values[name]
    if not text.isascii() or not text.isdigit() or not low <= int(text[:20]) <= high:
        raise SettingsFault(f"{name} must be a number from {low} to {high}")
    return int(text)


def _level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsFault("CBI_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR")
    return text.upper()


def _address(values: Mapping[str, str], name: str) -> str:
    """Return PostgreSQL's address with the driver that is used here, or ""."""
    if not values[name]:
        return ""
    scheme, separator, rest = values[name].partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise SettingsFault(f"{name} must begin with postgresql://")
    return f"postgresql+asyncpg://{rest}"


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if at and ":" in user:
        user = user.partition(":")[0] + ":…"
    return re.sub(r"(password=)[^&]*", r"\1…", f"{scheme}{separator}{user}{at}{host}")
