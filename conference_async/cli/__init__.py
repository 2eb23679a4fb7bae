"""The command line, ``conference-async``: the library's promises, typed at a prompt.

It needs the extra ``cli``; the commands have no logic of their own.
"""

import sys
from importlib.util import find_spec

_EXTRA = ("cyclopts", "phonenumbers", "rich")

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` holds, and exit with its code (see `problems`)."""
    if any(find_spec(name) is None for name in _EXTRA):
        sys.exit(_without_extra())
    from conference_async.cli.app import run

    sys.exit(run(sys.argv[1:]))


def _without_extra() -> int:
    sys.stderr.write(
        'conference-async: the command line needs its extra: pip install "conference-async[cli]"\n'
    )
    return 2
