"""A bank that is not ours: the program mock-bank, played on a loopback port.

It takes the pain.001 that we write and answers as banks do, on a clock of its own that is moved
by request. It holds nothing but the fictional data of a demo or a test.
"""

import asyncio
import re
import socket
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

START_SECONDS_MAX = 10
POLL_SECONDS = 0.05
STOP_SECONDS_MAX = 5
STARTS_MAX = 3
MESSAGES_MAX = 10_000
REQUEST_SECONDS_MAX = 60
ADVANCE_DAYS_MAX = 60
ACCOUNT_NUMBER = re.compile(r"[0-9]{1,17}")

# A parent that is killed can't stop its child, so the child watches its own standard input,
# which closes when the parent is gone.
LAUNCH = """
import os, sys, threading
from mockbank.__main__ import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
sys.exit(main())
"""


class BankError(RuntimeError):
    """The bank did not start, or answered a request of ours with a refusal."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the bank; `message_id` is the bank's mailbox number and grows."""

    message_id: int
    account_id: str  # whose it is; the bank holds accounts that are not ours
    type: str  # such as camt.053.001.08
    xml: bytes


class MockBank:
    """Runs mock-bank as a process of its own: `async with MockBank(folder, clock=…) as bank`.

    `clock` is the bank's wall clock at the start. A folder that was used before keeps its
    accounts, payments, messages and its time, so a demo that was killed finds them again.
    """

    def __init__(self, folder: Path, *, clock: datetime) -> None:
        self._folder = folder
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._http: httpx.AsyncClient | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the program and wait until it answers; BankError after ten seconds."""
        clock = _resume(self._folder, self._clock)
        for _ in range(STARTS_MAX):
            # Another program may take the port in between; then ours ends, and we try again.
            port = _free_port()
            self.url = f"http://127.0.0.1:{port}"
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", LAUNCH, "--host", "127.0.0.1", "--port", str(port), "--quiet"),
                *("--db", str(self._folder / "bank.sqlite")),
                *("--clock", clock.strftime("%Y-%m-%dT%H:%M")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            # The proxies of the environment are not for the loopback.
            self._http = httpx.AsyncClient(
                base_url=self.url, timeout=REQUEST_SECONDS_MAX, trust_env=False
            )
            if await self._answers():
                return
            await self.stop()
        raise BankError("mock-bank did not start")

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._http is not None
        for _ in range(int(START_SECONDS_MAX / POLL_SECONDS)):
            if self._process.returncode is not None:
                return False
            try:
                return (await self._http.get("/_mock/health")).status_code == httpx.codes.OK
            except httpx.TransportError:
                await asyncio.sleep(POLL_SECONDS)
        return False

    async def stop(self) -> None:
        """End the program that was started here, and only that one."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    async def open_account(
        self,
        account_id: str,
        *,
        name: str,
        iban: str,
        currency: str = "PEN",
        balance_minor: int = 0,
        behaviour: str = "accept",
        parameters: Mapping[str, Any] | None = None,
        account_number: str = "",
        closed: bool = False,
    ) -> None:
        """Open an account, unless the bank holds one of this id already.

        As a creditor it is found by `iban`, or by `account_number` (up to 17 digits) at the
        clearing member 999999992.
        """
        found = await self._get(f"/_mock/accounts/{account_id}", missing=True)
        if found is None:
            await self._send(
                "POST",
                "/_mock/accounts",
                json={
                    "id": account_id,
                    "name": name,
                    "iban": iban,
                    "currency": currency,
                    "balance": balance_minor,
                    "behaviour": behaviour,
                    "parameters": dict(parameters or {}),
                    "account_number": account_number,
                    "closed": closed,
                },
            )

    async def open_closed_creditor(self, account_number: str) -> None:
        """Hold a creditor account to which every payment is rejected with AC04."""
        await self.open_account(
            f"C{account_number}",
            name=f"Cuenta {account_number}",
            iban=mock_iban(account_number),
            behaviour="closed-account",
            account_number=account_number,
            closed=True,
        )

    async def patch_account(self, account_id: str, **changes: object) -> None:
        """Change fields of an account: balance, behaviour, parameters, closed, …"""
        await self._send("PATCH", f"/_mock/accounts/{account_id}", json=changes)

    async def return_later(
        self, account_id: str, end_to_end_id: str, *, days: int, reason: str = "AC04"
    ) -> None:
        """Let one payment of this debtor come back, business days after it settled."""
        parameters = {"days": days, "reason": reason, "end_to_end_id": end_to_end_id}
        await self.patch_account(account_id, behaviour="return-later", parameters=parameters)

    async def findings(self, file: bytes) -> list[dict[str, Any]]:
        """Return what the bank would say against a file, errors and warnings; stores nothing."""
        answer = await self._call(
            "POST", "/_mock/validate", content=file, headers={"Accept": "application/json"}
        )
        found: list[dict[str, Any]] = answer.json()["findings"]
        return found

    async def send(self, file: bytes) -> dict[str, Any]:
        """Hand in a payment file; `status` is ACCP, PART or RJCT, `reason` DUPL for a repeat."""
        answer = await self._call("POST", "/payments", content=file)
        if answer.status_code not in {httpx.codes.ACCEPTED, httpx.codes.UNPROCESSABLE_ENTITY}:
            raise BankError(f"the bank answered {answer.status_code} to a payment file")
        told: dict[str, Any] = answer.json()
        return told

    async def collect(self, account_id: str, *, after: int = 0) -> list[Message]:
        """Return the messages for one account with a number above `after`, oldest first.

        They stay in the mailbox: a program killed between collecting and storing loses none.
        """
        rows = await self._get("/_mock/mailbox?leave")
        messages = [
            Message(
                message_id=row["id"],
                account_id=row["account"],
                type=row["type"],
                xml=row["body"].encode(),
            )
            for row in rows
            if row["id"] > after and row["account"] == account_id
        ]
        if len(messages) > MESSAGES_MAX:
            raise BankError(f"more than {MESSAGES_MAX} messages")
        return sorted(messages, key=lambda message: message.message_id)

    async def advance(self, *, days: int) -> datetime:
        """Move the bank's clock by calendar days, each with its own end; return its new time."""
        assert 0 <= days <= ADVANCE_DAYS_MAX
        for _ in range(days):
            await self._send("POST", "/_mock/advance?days=1")
        now = await self.now()
        _remember(self._folder, now)
        return now

    async def now(self) -> datetime:
        """Return the bank's wall clock."""
        state = await self._get("/_mock/state")
        return datetime.fromisoformat(state["clock"]["now"]).replace(tzinfo=None)

    async def payments(self) -> list[dict[str, Any]]:
        """Return every payment the bank decided on, newest first."""
        rows: list[dict[str, Any]] = await self._get("/_mock/payments")
        return rows

    async def balance_minor(self, account_id: str) -> int:
        account = await self._get(f"/_mock/accounts/{account_id}")
        return int(account["balance"])

    async def _get(self, path: str, *, missing: bool = False) -> Any:  # noqa: ANN401 (JSON)
        answer = await self._call("GET", path)
        if missing and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise BankError(f"the bank answered {answer.status_code} to GET {path}")
        return answer.json()

    async def _send(self, method: str, path: str, *, json: object = None) -> None:
        answer = await self._call(method, path, content=msgspec.json.encode(json))
        if answer.is_error:
            raise BankError(f"the bank answered {answer.status_code} to {method} {path}")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        assert self._http is not None, "start the bank first"
        try:
            return await self._http.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise BankError(f"the bank does not answer ({type(error).__name__})") from error


def mock_iban(account_number: str) -> str:
    """Build an IBAN with right check digits at the bank MOCK, which belongs to nobody."""
    if not ACCOUNT_NUMBER.fullmatch(account_number):
        raise ValueError("an account number of mock-bank is 1 to 17 digits")
    bban = f"MOCK{account_number.zfill(10)}"
    number = int("".join(str(int(character, 36)) for character in f"{bban}NL00"))
    return f"NL{98 - number % 97:02d}{bban}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _resume(folder: Path, clock: datetime) -> datetime:
    """Return the later of `clock` and the time at which the bank in this folder stood."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        stood = datetime.fromisoformat((folder / "clock").read_text(encoding="ascii"))
    except FileNotFoundError:
        return clock
    return max(clock.replace(tzinfo=None), stood)


def _remember(folder: Path, now: datetime) -> None:
    (folder / "clock").write_text(now.isoformat(), encoding="ascii")
