"""Text of other people, made safe for a terminal and for a line of a file."""


def printable(text: str) -> str:
    """Return `text` with control characters, tabs and line breaks spelled out as escapes.

    A label or a service's message may hold what moves the cursor or breaks a line.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
