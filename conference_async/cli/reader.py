"""Whoever reads the output, and may go away before its end."""

import os
import sys
from collections.abc import Callable

READER_GONE = 141


def heard(command: Callable[[], int | None]) -> int:
    """Return the exit code of a command, or `READER_GONE` if nobody reads what it prints."""
    try:
        code = command() or 0
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code
