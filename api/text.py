"""Text in requests: what a line may hold, and how a pattern ends."""

# `$` alone also matches before a line feed at the end, which PostgreSQL and banks then refuse.
END = r"$(?!\n)"

# PostgreSQL stores no NUL, and no other control character belongs to a name.
LINE = r"^[^\x00-\x1f\x7f-\x9f]+" + END
NOT_NUL = r"^[^\x00]*" + END
