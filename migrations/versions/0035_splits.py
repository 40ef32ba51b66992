"""What a family was promised before it parted counts for both of its parts."""

from migrations.run import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_sql(__file__)
