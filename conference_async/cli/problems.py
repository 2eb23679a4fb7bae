"""What went wrong, in one line, and the exit code that scripts can rely on.

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
141  whoever read the output went away
==== =========================================================================================
"""

import os
import sys
import warnings
from collections.abc import Callable

from cyclopts import CycloptsError, UnusedCliTokensError

from conference_async.cli.printable import printable
from conference_async.errors import (
    ConferenceError,
    ConfigurationError,
    InvalidParameter,
    LedgerError,
    OutcomeUnknown,
    RequestRefused,
)
from conference_async.masking import mask
from conference_async.notices import ConferenceWarning

DONE = 0
SOME_FAILED = 1
WRONG_USE = 2
REFUSED = 3
UNREACHABLE = 4
UNKNOWN = 5
DEFECT = 70
INTERRUPTED = 130
READER_GONE = 141

LEGEND = (
    "Exit codes: 0 done; 1 some targets were refused or failed; 2 wrong usage, configuration or "
    "input; 3 the service refused; 4 it could not be reached, or failed; 5 outcome unknown: "
    "somebody may have been called; 130 interrupted."
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
        code = command() or DONE
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except KeyboardInterrupt as interrupt:
        unknown = OutcomeUnknown.behind(interrupt)
        return report(unknown) if unknown else say("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- a traceback tells a user nothing
        return report(error)
    return code


def report(error: Exception) -> int:
    """Say in one line on stderr what went wrong; return the exit code."""
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
            return say(f"error: {path}: {reason}", WRONG_USE)
        case CycloptsError():
            return say(f"error: {_misused(error)}", WRONG_USE)
        case OSError():
            code = WRONG_USE
        case _:
            return say(f"this should not happen, please report it: {error!r}", DEFECT)
    return say(f"error: {error}", code)


def _misused(error: CycloptsError) -> str:
    text = str(error)
    if isinstance(error, UnusedCliTokensError):
        text = f"too many arguments: {' '.join(error.unused_tokens or ())}."
    return " ".join((text, "See", "conference-async", *(error.command_chain or ()), "--help"))


def say(text: str, code: int = DONE) -> int:
    """Write one line to stderr, with numbers masked; return `code`."""
    sys.stderr.write(f"conference-async: {printable(mask(' '.join(text.split())))}\n")
    return code


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    say(f"warning: {message}")
