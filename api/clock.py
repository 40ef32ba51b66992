"""The one place that reads the clock and makes ids; nouns and verbs are told both."""

import secrets
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

# Peru keeps UTC−5 the whole year; a registration's "today" is Peru's.
PERU = timezone(timedelta(hours=-5))


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    return datetime.now(PERU).date()


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562): ordered by time, so lists and indexes grow at their end."""
    millis = int(now().timestamp() * 1000)
    value = (millis << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62))
