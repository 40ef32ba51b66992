"""Files of registrations: uploaded in pieces, staged row by row, checked, decided on."""

from migrations.run import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql(__file__)
