"""Webhooks: addresses that may be called, signatures (Standard Webhooks), and pauses."""

import base64
import hmac
import ipaddress
from datetime import date, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from cbi.message import Message, OwnWords, message_of

Kind = Literal[
    "cases.waiting",
    "appeals.waiting",
    "appeals.unassigned",
    "appeals.due",
    "reservations.expiring",
    "reversal.to_act",
    "waiting.turn",
    "conflicts.waiting",
    "import.ended",
    "round.check_old",
    "person.appeal_taken",
    "person.appeal_decided",
    "person.appeal_delayed",
    "person.reversal",
    "person.registered",
    "person.reservation",
    "person.turn",
    "person.payment_ready",
    "person.payment_failed",
    "person.review",
]
Why = Literal[
    "delivered",
    "gone",
    "status",
    "redirect",
    "timeout",
    "unreachable",
    "unresolved",
    "address",
    "unreadable",
]
NoticeState = Literal["waiting", "delivered", "dead", "no_endpoint"]

URL_CHARACTERS_MAX = 500
SECRET_PREFIX = "whsec_"  # noqa: S105 -- how the format begins a secret
SECRET_BYTES = 32
# After a failed try; together less than a day, and then the notice is dead.
PAUSES_SECONDS = (10, 60, 300, 900, 3_600, 7_200, 14_400, 21_600, 28_800)
# Addresses in which another one is hidden, which a gateway would take out and call.
_TRANSLATED = tuple(
    ipaddress.ip_network(each)
    for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's endpoint; `ended_because` once it is called no more."""

    webhook_id: UUID
    url: str
    added_at: datetime
    ended_at: datetime | None = None
    ended_because: Literal["closed", "replaced", "gone"] | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice, how often it was tried, and how the last try ended.

    It waits, was delivered, or is dead: tried in vain, or not sent in its time. Without an endpoint
    it is only listed.
    """

    notice_id: UUID
    kind: Kind
    day: date
    data: dict[str, Any]
    made_at: datetime
    state: NoticeState
    attempts: int
    why: Why | None
    status: int | None


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: ids, counts and dates, and for a person the words to hand on."""

    type: Kind
    timestamp: datetime
    data: dict[str, Any]
    message: Message | None = None


def url_fault(url: str, *, local: bool) -> str | None:
    """Say what is wrong with an endpoint's address; None when it may be called.

    `local` allows this machine, without encryption. Names are looked up when they are called.
    """
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > URL_CHARACTERS_MAX:
        return f"at most {URL_CHARACTERS_MAX} plain characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "not an address"
    if not host or "\\" in url:
        return "not an address"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "no name, password or fragment"
    here = local and is_loopback(host)
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        return "https only"
    literal = _address(host)
    if literal is not None and not here and not is_public(host):
        return "a public address only"
    return None


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    found = _address(host)
    return host.lower() == "localhost" if found is None else found.is_loopback


def is_public(address: str) -> bool:
    """Whether an address is one of the public network, whichever way it is written."""
    found = _address(address)
    if found is None or not found.is_global or found.is_multicast or found.is_reserved:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        return found.ipv4_mapped is None and not any(found in net for net in _TRANSLATED)
    return True


def secret_text(secret: bytes) -> str:
    """Write a secret as its owner gets it, once."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, *, webhook_id: str, seconds: int, body: bytes) -> str:
    """Sign a message: HMAC-SHA-256 over its id, its time and its body (Standard Webhooks, v1)."""
    signed = f"{webhook_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def headers(secret: bytes, *, notice_id: UUID, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of a signed notice; its id is the same at every try."""
    seconds, named = int(at.timestamp()), str(notice_id)
    return {
        "Content-Type": "application/json",
        "User-Agent": "cbi",
        "webhook-id": named,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature(secret, webhook_id=named, seconds=seconds, body=body),
    }


def body_of(
    kind: Kind, data: dict[str, Any], *, made_at: datetime, own: OwnWords | None = None
) -> bytes:
    """Return the body of a notice, the same at every try."""
    payload = Payload(type=kind, timestamp=made_at, data=data, message=message_of(kind, data, own))
    return msgspec.json.encode(payload)


def again_at(attempt_no: int, *, at: datetime) -> datetime | None:
    """Return when a notice is tried again after its try of this number failed; None: no more."""
    if attempt_no > len(PAUSES_SECONDS):
        return None
    return at + timedelta(seconds=PAUSES_SECONDS[attempt_no - 1])


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
