"""A real service: `cbi serve` as a process of its own, reached over HTTP, killed at will."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Self

import httpx

URL = re.compile(rb"serving (http://[0-9.:]+)")
START_SECONDS_MAX = 60


class Served:
    """`async with Served(data_dir) as served`: the program a person would start."""

    def __init__(self, data_dir: Path) -> None:
        self._log = data_dir / "service.log"
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CBI_")},
            "CBI_DATA_DIR": str(data_dir),
            "CBI_PORT": "0",
        }
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(self._process.wait(), timeout=30) == 0

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", "from api.cli import main; main()", "serve"),
                env=self._env,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            while not (found := URL.search(await self._process.stdout.readline())):
                assert not self._process.stdout.at_eof(), self._log.read_text()
        self.url = found.group(1).decode()
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            assert (await client.get("/health/ready")).status_code == 200

    async def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed, no transaction is ended."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")
