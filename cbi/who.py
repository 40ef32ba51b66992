"""Who acts."""

from datetime import datetime
from uuid import UUID

import msgspec


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, for whom, and when."""

    partner_id: UUID
    actor_id: UUID
    at: datetime
