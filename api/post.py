"""Post to an address that an organisation gave, and to no other machine than it may mean.

The name is looked up once, every address it has must be a public one, and the connection goes to
the address that was looked at, under the name's certificate: a name that points elsewhere a moment
later, or at this machine, reaches nothing. Redirects and proxies are not followed, and what the
endpoint answers is not read beyond its status.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import httpx

from cbi.outbox import Tried
from cbi.webhook import is_loopback, is_public, url_fault

SECONDS_MAX = 10.0
Resolve = Callable[[str, int], Awaitable[list[str]]]

_GONE = 410


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Sender:
    """Posts; `local` allows this machine, for development."""

    def __init__(
        self,
        *,
        local: bool,
        resolve: Resolve = resolve,
        context: ssl.SSLContext | None = None,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._local = local
        self._resolve = resolve
        self._context = context or httpx.create_ssl_context()
        self._seconds_max = seconds_max

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Tried:
        """Post once; whatever the endpoint or the network does is told, not raised."""
        if url_fault(url, local=self._local) is not None:
            return Tried(why="address")
        try:
            async with asyncio.timeout(self._seconds_max):
                return await self._post(url, headers, body)
        except (TimeoutError, httpx.TimeoutException):
            return Tried(why="timeout")
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError):
            return Tried(why="unreachable")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Tried:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            return Tried(why="unresolved")
        if not addresses or not all(self._may_call(host, each) for each in addresses):
            return Tried(why="address")
        address = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        where = parts._replace(netloc=f"{address}:{port}").geturl()
        async with (
            httpx.AsyncClient(
                verify=self._context,
                trust_env=False,
                follow_redirects=False,
                timeout=self._seconds_max,
            ) as client,
            client.stream(
                "POST",
                where,
                content=body,
                headers={**headers, "Host": parts.netloc},
                # The certificate must be the name's, though an address is called.
                extensions={"sni_hostname": host},
            ) as answer,
        ):
            return _tried(answer.status_code)

    def _may_call(self, host: str, address: str) -> bool:
        here = self._local and is_loopback(host)
        return is_loopback(address) if here else is_public(address)


def _tried(status: int) -> Tried:
    if status == _GONE:
        return Tried(why="gone", status=status)
    if 200 <= status < 300:
        return Tried(why="delivered", status=status)
    return Tried(why="redirect" if 300 <= status < 400 else "status", status=status)
