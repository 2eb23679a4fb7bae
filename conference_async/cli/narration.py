"""What a command that runs for long tells of what happens to it: a line each, to a person."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from conference_async.cli.problems import say

_OUR_NEWS_ALREADY = ("procrastinate", "psycopg.pool")
"""Libraries that write a traceback where we say in a line that the server is gone."""


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextmanager
def narrated() -> Generator[None]:
    """Let our warnings be told, and those of the libraries beneath be left out."""
    ours, teller = logging.getLogger("conference_async"), _Teller(logging.WARNING)
    others = [logging.getLogger(name) for name in _OUR_NEWS_ALREADY]
    levels = [other.level for other in others]
    ours.addHandler(teller)
    for other in others:
        other.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ours.removeHandler(teller)
        for other, level in zip(others, levels, strict=True):
            other.setLevel(level)
