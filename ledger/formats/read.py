"""One door for every bank message: bytes in, statements out."""

from ledger.formats import camt, pacs004, pain002
from ledger.formats.xml import Unreadable, message_type
from ledger.statement import Statement

STATEMENTS_MAX = 1000


def read(content: bytes) -> Statement:
    """Read a file that holds exactly one message; Unreadable otherwise."""
    statements = read_all(content)
    if len(statements) != 1:
        raise Unreadable("/", f"{len(statements)} statements where one is expected")
    return statements[0]


def read_all(content: bytes) -> tuple[Statement, ...]:
    """Read pain.002, camt.053, camt.054 or pacs.004, in file order.

    A part that can't be read becomes a RejectedLine of its statement. Raises Unreadable, and
    nothing else, when the file as a whole can't be read.
    """
    message = message_type(content)
    statements: tuple[Statement, ...]
    if message in pain002.VERSIONS:
        statements = (pain002.read(content, message),)
    elif message in camt.VERSIONS:
        statements = camt.read_all(content, message)
    elif message in pacs004.VERSIONS:
        statements = (pacs004.read(content, message),)
    else:
        # The namespace is content too, so the refusal does not repeat it.
        raise Unreadable("/", "a message or version that is not read here")
    if len(statements) > STATEMENTS_MAX:
        raise Unreadable("/", f"more than {STATEMENTS_MAX} statements")
    return statements
