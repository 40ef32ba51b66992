"""What the service itself refuses of an Idempotency-Key."""


class KeyMalformed(Exception):
    """The Idempotency-Key is empty, too long or not plain text."""


class KeyRunning(Exception):
    """A request with this key is still running."""


class KeyReused(Exception):
    """The key was used for another request."""
