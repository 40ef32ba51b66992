"""What every command shares: a started host, words for what goes wrong, tables and JSON.

Exit codes: 0 done; 1 done, and the answer is no (faulty rows, a ledger that is not whole);
2 wrong use or settings; 3 refused; 4 the database can't be reached.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import rich_click as click
from asyncpg.exceptions import InterfaceError, PostgresError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from api import logs, settings
from api.host import Host, host, migrate_own
from api.problems import facts_of
from api.quota_words import spent
from api.state import Service, open_service
from api.wording import REFUSALS
from cbi.intake.source import REASONS
from cbi.refusal import CbiRefusal, CheckQuotaSpent, FileUnreadable
from dedup.refusal import DedupRefusal
from ledger.refusal import LedgerRefusal
from ledger.violation import constraint_of

T = TypeVar("T")
NO, WRONG_USE, REFUSED, UNREACHABLE = 1, 2, 3, 4

CONSOLE = Console(highlight=False)
STDERR = Console(stderr=True, highlight=False)

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")


def command(work: Callable[..., Coroutine[Any, Any, int | None]]) -> Callable[..., None]:
    """Run an async command on a started host; turn what can go wrong into words and a code."""

    @wraps(work)
    def run(**options: object) -> None:
        with told():
            loaded = settings.load()
            logs.configure("WARNING")
            with ExitStack() as stack:
                with STDERR.status("reaching the database"):
                    running = stack.enter_context(host(loaded))
                    asyncio.run(migrate_own(running))
                code = asyncio.run(_with_service(running, work, options))
        sys.exit(code or 0)

    return run


async def _with_service(
    running: Host,
    work: Callable[..., Coroutine[Any, Any, int | None]],
    options: dict[str, object],
) -> int | None:
    service = open_service(running.settings, database_url=running.app_url)
    try:
        return await work(Run(running, service), **options)
    finally:
        await service.engine.dispose()


class Run:
    """What a command works with."""

    def __init__(self, running: Host, service: Service) -> None:
        self.host = running
        self.service = service


@contextmanager
def told() -> Iterator[None]:
    """Say in one sentence what went wrong, and leave with the code for it.

    A terminated command ends through here as well, so that it stops its database.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    except settings.SettingsFault as error:
        leave(f"settings: {error}", WRONG_USE)
    except (CbiRefusal, DedupRefusal, LedgerRefusal) as error:
        wording = REFUSALS[type(error)]
        facts = msgspec.json.encode(facts_of(error)).decode()
        if isinstance(error, FileUnreadable):
            facts = " ".join(REASONS[error.reason])
        if isinstance(error, CheckQuotaSpent):
            facts = " ".join(msgspec.structs.astuple(spent(error)))
        leave(f"{wording.en} / {wording.es} [{wording.slug}] {facts}", REFUSED)
    except IntegrityError as error:
        leave(f"the database's rule {constraint_of(error)} refuses this", REFUSED)
    except (
        *(DBAPIError, ArgumentError, ConnectionError, socket.gaierror),
        *(PostgresError, InterfaceError),
    ) as error:
        # Only the kind of fault: the text of a database's error may quote an address or data.
        kind = type(getattr(error, "orig", None) or error).__name__
        leave(
            f"the database can't be used ({kind}); are CBI_DATABASE_URL and its password right,"
            " and was `cbi migrate` run?",
            UNREACHABLE,
        )
    except OSError as error:
        leave(f"{error.filename or 'a file'}: {error.strerror}", REFUSED)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def leave(message: str, code: int) -> NoReturn:
    """Write a message to the error stream and exit."""
    STDERR.print(f"[red]error[/red] {escape(message)}", soft_wrap=True)
    sys.exit(code)


def show(rows: list[dict[str, object]], *, as_json: bool, title: str) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    if not rows:
        CONSOLE.print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    CONSOLE.print(table)
