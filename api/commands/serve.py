"""`cbi serve` and `cbi settings`."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import rich_click as click
import uvicorn
import uvloop

from api import logs, settings
from api.access import CONSOLE_PATH
from api.app import make_app
from api.demo.stage import load_state
from api.host import Host, host, migrate_own
from api.state import open_service
from api.terminal import CONSOLE, STDERR, UNREACHABLE, WRONG_USE, as_json, leave, show, told


@click.command()
@click.option("--host", "address", help="Address to listen on, instead of CBI_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, instead of CBI_PORT.")
@click.option("--check", is_flag=True, help="Only see whether the port is free.")
def serve(*, address: str | None, port: int | None, check: bool) -> None:
    """Run the service until it is interrupted (Ctrl-C).

    The embedded database is started and migrated first. One outside is used as it is: run
    `cbi migrate` when the program is updated.
    """
    with told():
        loaded = settings.load()
        address, port = address or loaded.host, loaded.port if port is None else port
        listening = _listen(address, port)
        if check:
            listening.close()
            return
        logs.configure(loaded.log_level)
        with contextlib.ExitStack() as stack:
            with STDERR.status("starting the database"):
                running = stack.enter_context(host(loaded))
                asyncio.run(migrate_own(running))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(running, listening))


@click.command("settings")
@as_json
def settings_(*, as_json: bool) -> None:
    """Show every setting by its variable, with secrets masked."""
    with told():
        shown = settings.masked(settings.load())
    meanings = {name: meaning for name, _, meaning in settings.VARIABLES}
    rows: list[dict[str, object]] = [
        {"variable": name, "value": value, "meaning": meanings[name]}
        for name, value in shown.items()
    ]
    show(rows, as_json=as_json, title="settings")


def _listen(address: str, port: int) -> socket.socket:
    """Take the port before anything is started, so that a taken one is told at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The protocol is named, or connections would not get TCP_NODELAY, and each answer would wait
    # 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except (OSError, OverflowError):
        leave(
            f"can't listen on {address}:{port}: in use, or not this machine's."
            " Another port: CBI_PORT=8001 make run, or cbi serve --port 8001",
            WRONG_USE,
        )
    return listening


class _Server(uvicorn.Server):
    """Says where it serves once it does."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End quietly when told to, or when the terminal goes: the database is stopped as well.

        The framework would raise the signal again, which kills the process before that.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


async def _run(running: Host, listening: socket.socket) -> None:
    service = open_service(running.settings, database_url=running.app_url)
    config = uvicorn.Config(
        make_app(service), log_config=None, access_log=False, server_header=False, lifespan="on"
    )
    address, port = listening.getsockname()[:2]
    url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"

    def announce() -> None:
        _print_example_keys(running, url)
        CONSOLE.print(
            f"serving {url}   console: {url}{CONSOLE_PATH}   pages: {url}/docs   stop: Ctrl-C",
            soft_wrap=True,
        )

    server = _Server(config, announce)
    await server.serve(sockets=[listening])
    if not server.started:
        leave("the service did not start", UNREACHABLE)


def _print_example_keys(running: Host, url: str) -> None:
    state = load_state(running.settings.data_dir)
    if state is None or running.settings.env == "production":
        return
    STDERR.print("\nkeys of the example's people (made up; valid for 90 days):")
    for who, key in state.keys.items():
        STDERR.print(f"  {who:<22} {key}", soft_wrap=True)
    who, first = next(iter(state.keys.items()))
    STDERR.print(f'\ntry: curl -H "Authorization: Bearer {first}" {url}/v1/me', soft_wrap=True)
    STDERR.print(f"or sign in at {url}{CONSOLE_PATH} with the key of {who}\n", soft_wrap=True)
