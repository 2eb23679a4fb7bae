"""The command line, ``conference-async``: the library's promises, typed at a prompt.

It needs the extra ``cli``; the commands have no logic of their own.
"""

import os
import sys
from importlib.util import find_spec
from io import TextIOWrapper

from conference_async._version import __version__
from conference_async.cli.reader import heard

_INTERRUPTED = 130
_EXTRA = ("cyclopts", "phonenumbers", "rich")

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` holds, and exit with its code (see `problems`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 -- as long as the process
    if sys.argv[1:] == ["--version"]:  # asked by scripts, and answered before anything is loaded
        sys.exit(heard(lambda: print(__version__)))
    if any(find_spec(name) is None for name in _EXTRA):
        sys.exit(_without_extra())
    try:
        from conference_async.cli.app import run
    except KeyboardInterrupt:  # nothing has begun that could be said to be interrupted
        sys.exit(_INTERRUPTED)

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not every terminal has every letter
    sys.exit(run(sys.argv[1:]))


def _without_extra() -> int:
    sys.stderr.write(
        'conference-async: the command line needs its extra: pip install "conference-async[cli]"\n'
    )
    return 2
