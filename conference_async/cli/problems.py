"""Failures, each in one line and with an exit code that scripts can rely on.

==== =========================================================================================
code meaning
==== =========================================================================================
0    done
1    some targets were refused, failed or were not dialled
2    wrong usage, configuration or input; nothing was sent
3    the service refused
4    the service could not be reached, or failed; nothing was dialled
5    the outcome is unknown: somebody may have been called
70   a defect of this program
130  interrupted
141  the output could not be written, or its reader went away
==== =========================================================================================
"""

import errno
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO, get_origin

from conference_async.cautions import ConferenceWarning
from conference_async.cli.reader import heard, tell
from conference_async.errors import (
    ConferenceError,
    ConfigurationError,
    InvalidParameter,
    LedgerError,
    OutcomeUnknown,
    RequestRefused,
)
from conference_async.privacy import mask, printable

if TYPE_CHECKING:
    from cyclopts import CycloptsError

DONE = 0
SOME_FAILED = 1
WRONG_USE = 2
REFUSED = 3
UNREACHABLE = 4
UNKNOWN = 5
DEFECT = 70
INTERRUPTED = 130

LEGEND = (
    "Exit codes: 0 done; 1 some targets were refused, failed or not dialled; 2 wrong usage, "
    "configuration or input; 3 the service refused; 4 it could not be reached, or failed; "
    "5 outcome unknown: somebody may have been called; 130 interrupted."
)
"""The codes, for the help."""


def guarded(command: Callable[[], int | None]) -> int:
    """Return the exit code of a command; what it raises ends as one line on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", ConferenceWarning)
        warnings.showwarning = _show_warning
        return _code_of(command)


def _code_of(command: Callable[[], int | None]) -> int:
    try:
        return heard(command)
    except KeyboardInterrupt as interrupt:
        unknown = OutcomeUnknown.behind(interrupt)
        return report(unknown) if unknown else say("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- a traceback tells a user nothing
        return report(error)


def report(error: Exception) -> int:
    """Say in one line on stderr what went wrong; return the exit code."""
    return say(*told(error))


def told(error: Exception) -> tuple[str, int]:
    """Return what went wrong in a line, and the exit code that says it to scripts."""
    from cyclopts import CycloptsError

    match error:
        case OutcomeUnknown():
            code = UNKNOWN
        case RequestRefused():
            code = REFUSED
        case ConfigurationError() | InvalidParameter() | LedgerError():
            code = WRONG_USE
        case ConferenceError():
            code = UNREACHABLE
        case OSError(filename=str(path), strerror=str(reason)):
            return f"error: {path}: {reason}", WRONG_USE
        case CycloptsError():
            return f"error: {_misused(error)}", WRONG_USE
        case OSError():
            code = WRONG_USE
        case _:
            # Not as Python shows it: of text that cannot be decoded that is all, secrets too.
            what = f"{type(error).__name__}: {error}"
            return f"this should not happen, please report it: {what}", DEFECT
    return f"error: {error}", code


def cannot_listen(host: str, port: int, error: OSError) -> ConfigurationError:
    """Return what a command says that cannot listen on a port."""
    # A resolver's numbers are below zero, and its words its own.
    number = error.errno or 0
    reason = os.strerror(number) if number > 0 else error.strerror
    of_the_port = number in {errno.EADDRINUSE, errno.EACCES}
    advice = "port 0 takes a free one" if of_the_port else "give an address of this machine"
    return ConfigurationError(f"cannot listen on {host}, port {port}: {reason}; {advice}")


def _misused(error: "CycloptsError") -> str:
    from cyclopts import CoercionError, UnusedCliTokensError

    text = str(error)
    if isinstance(error, UnusedCliTokensError):
        text = f"too many arguments: {' '.join(error.unused_tokens or ())}."
    elif isinstance(error, CoercionError) and get_origin(error.target_type) is Mapping:
        text = (
            f'{error.token and error.token.keyword} must be JSON, such as {{"NewName": "value"}}.'
        )
    return " ".join((text, "See", "conference-async", *(error.command_chain or ()), "--help"))


def say(text: str, code: int = DONE) -> int:
    """Write one line to stderr, with numbers masked; return `code`."""
    line = f"conference-async: {printable(mask(' '.join(text.split())))}"
    tell(fitted(line, sys.stderr))
    return code


def fitted(line: str, stream: TextIO) -> str:
    """Return a line as a terminal shows it best, broken between words; as it is elsewhere."""
    if not stream.isatty():
        return line
    return textwrap.fill(
        line,
        get_terminal_size().columns,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    say(f"warning: {message}")
