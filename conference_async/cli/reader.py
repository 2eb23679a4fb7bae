"""Whoever reads the output, and may go away before its end."""

import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO

READER_GONE = 141


def heard(command: Callable[[], int | None]) -> int:
    """Return the exit code of a command, or `READER_GONE` if nobody can read what it prints."""
    try:
        code = command() or 0
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
        return READER_GONE
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # for which rich ends with a 1
            raise
        return READER_GONE
    except OSError as error:
        if error.filename is not None or error.errno not in {errno.ENOSPC, errno.EIO}:
            raise
        _discard(sys.stdout)
        tell(f"conference-async: error: no output: {error.strerror}")
        return READER_GONE
    return code


def tell(line: str) -> None:
    """Write a line to stderr, or to nobody if it cannot be written: what is under way goes on."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Send a stream that cannot be written nowhere, with what it still holds.

    Python would try to write that as it ends, and end with a code of its own.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
