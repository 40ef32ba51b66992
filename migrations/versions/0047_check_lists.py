"""What may be checked is a list of the asker's own that is in use; checks are kept against it."""

from migrations.run import run_sql

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    run_sql(__file__)
