"""`cbi migrate`, `cbi psql`, `cbi stop`: the database itself."""

import asyncio
import os
import subprocess
import sys

import rich_click as click

from api import db, logs, settings
from api.embedded import EmbeddedPostgres, in_use, is_running, program
from api.host import host
from api.terminal import CONSOLE, NO, WRONG_USE, leave, told

ROLES = {"app": "cbi_app", "owner": "postgres"}


@click.command()
def migrate() -> None:
    """Bring the database up to date, as its owner (CBI_OWNER_DATABASE_URL)."""
    with told():
        loaded = settings.load()
        logs.configure("WARNING")
        with host(loaded) as running:
            if not running.owner_url:
                leave("CBI_OWNER_DATABASE_URL must be set to migrate", WRONG_USE)
            password = loaded.app_password if running.embedded is None else ""
            applied = asyncio.run(db.migrate(running.owner_url, app_password=password))
    CONSOLE.print(f"migrated to {applied[0]}" if applied else "up to date")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--role",
    type=click.Choice(sorted(ROLES)),
    default="app",
    show_default=True,
    help="app: what the service may do. owner: the superuser that migrates.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(role: str, arguments: tuple[str, ...]) -> None:
    """Open the embedded database in psql; ARGUMENTS go to psql, such as -c "SELECT 1"."""
    with told():
        loaded = settings.load()
        if not loaded.embedded:
            leave("CBI_DATABASE_URL is set: use your own psql for that server", WRONG_USE)
        logs.configure("WARNING")
        with host(loaded) as running:
            assert running.embedded is not None
            asyncio.run(db.migrate(running.owner_url))
            ended = subprocess.run(  # noqa: S603 -- our own program and arguments
                [
                    str(program("psql")),
                    *("-h", str(running.embedded.socket_dir), "-U", ROLES[role], "-d", "cbi"),
                    *arguments,
                ],
                env=os.environ | {"PSQLRC": os.devnull},
                check=False,
            )
    sys.exit(ended.returncode)


@click.command()
def stop() -> None:
    """Stop the embedded database if a killed program left it running."""
    with told():
        loaded = settings.load()
        if not is_running(loaded.data_dir):
            CONSOLE.print("not running")
            return
        if in_use(loaded.data_dir):
            leave("a running program uses the database: stop that first (Ctrl-C)", NO)
        EmbeddedPostgres(loaded.data_dir).stop(whoever_holds=True)
    CONSOLE.print("stopped")
